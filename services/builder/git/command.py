"""How git is called: with nothing of this machine's configuration, and with every door shut that
a repository or its server could open. Pure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from shared.git import Remote

KEPT: Final = ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of the builder's own environment: whose certificates are believed."""

SETTINGS: Final = (
    # what a server may have us do
    "protocol.allow=never",
    "http.followRedirects=false",
    "http.proxy=",
    "http.emptyAuth=false",
    "http.saveCookies=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "credential.helper=",
    "core.askPass=/bin/false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.uriProtocols=",
    # what a repository may have us do
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
    # one pack whose size a limit of the kernel bounds, read in little memory
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "pack.threads=1",
    "core.bigFileThreshold=16m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=256m",
    "core.deltaBaseCacheLimit=32m",
    "protocol.version=2",
    # old commits of honest people have these
    "fetch.fsck.badTimezone=warn",
    "fetch.fsck.missingSpaceBeforeDate=warn",
    "fetch.fsck.zeroPaddedFilemode=warn",
)


def environment(home: Path, schemes: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """All that git sees of its surroundings; `home` is an empty folder."""
    return {
        **{name: own[name] for name in KEPT if name in own},
        "PATH": os.defpath,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C",
        "GIT_DIR": ".",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(schemes),
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": "/bin/false",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def settings(*more: str) -> list[str]:
    return [word for setting in (*SETTINGS, *more) for word in ("-c", setting)]


def pinned(remote: Remote, addresses: Sequence[str]) -> list[str]:
    """Have curl connect to the addresses that were checked, whatever the name means by then."""
    if remote.is_address:
        return []  # there is no name
    shown = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    return [f"http.curloptResolve={remote.host}:{remote.port}:{shown}"]


def fetch(remote: Remote, ref: str, into: str) -> list[str]:
    """One commit of `ref` into the ref `into`; nothing beside it, nothing behind it."""
    return [
        *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
        *("--no-auto-maintenance", "--depth=1", "--", remote.url, f"{ref}:{into}"),
    ]
