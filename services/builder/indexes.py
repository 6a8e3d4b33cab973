"""Where this machine fetches packages from, as the installer is told it.

The machine's settings are pip's (pip.conf, PIP_*) and uv's own (UV_*), which win. Nothing else of
the builder's environment reaches the installer, since what it builds can read it all.
"""

from __future__ import annotations

import configparser
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from services.builder.reason import masked

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


def identity(environment: Mapping[str, str]) -> str:
    """What of the settings decides which packages are found; it tells no credentials."""
    telling = sorted(
        f"{name}={masked(value)}"
        for name, value in environment.items()
        if re.fullmatch(r"UV_(?:\w*INDEX\w*|FIND_LINKS|EXCLUDE_NEWER)", name)
    )
    return hashlib.sha256("\n".join(telling).encode()).hexdigest()
