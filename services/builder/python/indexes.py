"""Where packages are fetched from, as the installer is told it.

The machine's settings are pip's (pip.conf, PIP_*) and uv's own (UV_*), which win. Nothing else of
the builder's environment reaches the installer, since what it builds can read it all.

A project's own indexes come before the machine's, and a name is taken from the first that has it,
in whatever version: somebody who puts a project's private name on a public index gains nothing. The
index that the world shares comes last, also where a project lists it before its own.
"""

from __future__ import annotations

import configparser
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.builder.python.pipconf import Own
from services.builder.python.reason import masked

PASSED_ON: Final = re.compile(
    r"PATH|LANG|(?:(?:HTTPS?|ALL|NO)_PROXY)|(?:https?|all|no)_proxy"
    r"|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NETRC"
    r"|UV_(?:DEFAULT_INDEX|INDEX\w*|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST"
    r"|NATIVE_TLS|SYSTEM_CERTS|HTTP_\w+|KEYRING_PROVIDER|EXCLUDE_NEWER|OFFLINE|CONCURRENT_\w+)"
)

ALWAYS: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:http",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first year that a wheel can hold
    "TZ": "UTC",
}


def pip_settings(files: Iterable[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's options by long name; a later file wins over an earlier one, PIP_* over all."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, "utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip's file, pip's trouble
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    env = {
        name[4:].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }
    return found | env


def pip_files(environ: Mapping[str, str], prefix: str) -> list[Path]:
    """Where pip looks for its settings, the weakest first."""
    home = Path(environ.get("HOME") or "/nonexistent")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("PIP_CONFIG_FILE")
    if named == "/dev/null":
        return []
    return [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        config / "pip/pip.conf",
        Path(prefix) / "pip.conf",
        *([Path(named)] if named else []),
    ]


def translated(pip: Mapping[str, str]) -> dict[str, str]:
    """pip's settings as uv's variables."""
    listed = {name: " ".join(value.split()) for name, value in pip.items()}
    found = {
        "UV_DEFAULT_INDEX": listed.get("index-url", ""),
        "UV_INDEX": listed.get("extra-index-url", ""),
        "UV_FIND_LINKS": listed.get("find-links", "").replace(" ", ","),
        "UV_INSECURE_HOST": listed.get("trusted-host", ""),
        "SSL_CERT_FILE": listed.get("cert", ""),
        "UV_NO_INDEX": "1" if listed.get("no-index", "").lower() in ("1", "true", "yes") else "",
    }
    return {name: value for name, value in found.items() if value}


def settings(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The environment of every installation on a machine with `environ` and a Python `prefix`."""
    own = {name: value for name, value in environ.items() if PASSED_ON.fullmatch(name)}
    pip = translated(pip_settings(pip_files(environ, prefix), environ))
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & own.keys():
        pip.pop("UV_DEFAULT_INDEX", None)
    if {"UV_INDEX", "UV_EXTRA_INDEX_URL"} & own.keys():
        pip.pop("UV_INDEX", None)
    return pip | own | ALWAYS


def merged(machine: Mapping[str, str], own: Own, source: Path, public: str = "") -> dict[str, str]:
    """The environment of an installation for a project with places of its `own`.

    `public` is the index that the installer asks when nobody names one.
    """
    if not own:
        return dict(machine)
    found = {name: value for name, value in machine.items() if name not in NAMING}
    default = machine.get("UV_DEFAULT_INDEX") or machine.get("UV_INDEX_URL", "")
    extra = f"{machine.get('UV_INDEX', '')} {machine.get('UV_EXTRA_INDEX_URL', '')}".split()
    shared = [*extra, *([] if own.index else [default])]
    ranked = _ranked((own.index, *own.extra), shared, default, public)
    if own.index or default:
        *ranked, found["UV_DEFAULT_INDEX"] = ranked
    links = [link if "://" in link else str(source / link) for link in own.links]
    told = {
        "UV_INDEX": " ".join(ranked),
        "UV_INDEX_STRATEGY": "first-index",
        "UV_FIND_LINKS": ",".join(filter(None, [*links, machine.get("UV_FIND_LINKS", "")])),
        "UV_INSECURE_HOST": " ".join([*own.trusted, machine.get("UV_INSECURE_HOST", "")]).strip(),
        "SSL_CERT_FILE": str(source / own.cert) if own.cert else machine.get("SSL_CERT_FILE", ""),
        "UV_NO_INDEX": "1" if own.no_index else machine.get("UV_NO_INDEX", ""),
    }
    return found | {name: value for name, value in told.items() if value}


NAMING: Final = frozenset(
    ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY")
)


def _ranked(own: Iterable[str], shared: Iterable[str], default: str, public: str) -> list[str]:
    """Each once, the first to be asked first: a project's own, then those that others share."""
    mine, others = [*filter(None, own)], [*filter(None, shared)]
    known = {_plain(address) for address in (*others, default)}
    world = _plain(public).partition("/")[0]  # has more than one address there
    late = [a for a in mine if _plain(a) in known or _plain(a).partition("/")[0] == world]
    return list(dict.fromkeys([*(a for a in mine if a not in late), *late, *others]))


def _plain(address: str) -> str:
    """`host:port/path`, whoever asks."""
    parts = urlsplit(address)
    return f"{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"


def identity(environment: Mapping[str, str]) -> str:
    """What of the settings decides which packages are found; it tells no credentials."""
    telling = sorted(
        f"{name}={masked(value)}"
        for name, value in environment.items()
        if re.fullmatch(r"UV_(?:\w*INDEX\w*|FIND_LINKS|EXCLUDE_NEWER)", name)
    )
    return hashlib.sha256("\n".join(telling).encode()).hexdigest()
