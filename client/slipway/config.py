"""Where the platform is and who we are: from the environment, else from the file that the
platform writes for this machine. Pure but for reading that file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from slipway.errors import Unconfigured

NEXT = (
    "start one here with `make up`, or set SLIPWAY_URL and SLIPWAY_TOKEN "
    "(and SLIPWAY_PROJECT=owner/project)"
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    token: str
    project: str | None = None  # owner/project

    def __repr__(self) -> str:  # a token has no place in a traceback
        return f"Settings(url={self.url!r}, project={self.project!r})"


class _File(msgspec.Struct, frozen=True):
    url: str = ""
    token: str = ""
    project: str = ""


def find(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """SLIPWAY_URL with SLIPWAY_TOKEN, else the nearest client.toml.

    SLIPWAY_PROJECT wins over the file's project. Raises Unconfigured, saying what to do.
    """
    environ = os.environ if environ is None else environ
    project = environ.get("SLIPWAY_PROJECT", "")
    url, token = environ.get("SLIPWAY_URL", ""), environ.get("SLIPWAY_TOKEN", "")
    if url and not token:
        raise Unconfigured("SLIPWAY_URL is set, but SLIPWAY_TOKEN is not", "set both or neither")
    if url:
        return _settings(url, token, project, "SLIPWAY_URL")
    path = _file(environ.get("SLIPWAY_HOME", ""), (folder or Path.cwd()).absolute())
    found = _read(path)
    return _settings(found.url, token or found.token, project or found.project, str(path))


def _file(home: str, folder: Path) -> Path:
    """$SLIPWAY_HOME/client.toml, else the nearest .slipway/client.toml from here upwards."""
    if home:
        path = Path(home).expanduser() / "client.toml"
        if path.is_file():
            return path
        raise Unconfigured(f"there is no {path}", NEXT)
    for above in (folder, *folder.parents):
        path = above / ".slipway" / "client.toml"
        if path.is_file():
            return path
    raise Unconfigured("found no platform: no SLIPWAY_URL and no .slipway/client.toml", NEXT)


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    except (OSError, ValueError) as error:  # also tomllib's and msgspec's own
        raise Unconfigured(f"cannot read {path}: {error}", NEXT) from error


def _settings(url: str, token: str, project: str, where: str) -> Settings:
    if not url.startswith(("http://", "https://")):
        raise Unconfigured(f"the URL in {where} must begin with http:// or https://", NEXT)
    if not token:
        raise Unconfigured(f"there is no token in {where}", NEXT)
    base = url.rstrip("/").removesuffix("/v1")
    return Settings(url=base, token=token, project=project or None)
