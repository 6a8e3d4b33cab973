"""What a resolver inside a base image decided on, read from its pylock.toml (PEP 751).

It was written beside code of strangers, so it is read as if they had written it.
"""

from __future__ import annotations

import os.path
import re
import tomllib
from collections.abc import Iterable
from typing import Final

import msgspec

from services.builder.python.lock import MOST, Pin
from services.builder.python.requirements import normal

NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")
VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,198}")
HASH: Final = re.compile(r"[0-9a-f]{64}")
PLACE: Final = re.compile(r"[^\s'\"\\]{1,2000}")
COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file, a folder or a repository, in the words of the format."""

    url: str = ""
    path: str = ""
    hashes: dict[str, str] = {}
    subdirectory: str = ""
    type: str = ""
    commit: str = msgspec.field(default="", name="commit-id")


class Package(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str = ""
    wheels: tuple[File, ...] = ()
    sdist: File | None = None
    archive: File | None = None
    directory: File | None = None
    vcs: File | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True):
    packages: tuple[Package, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One package: `line` asks for what has to be built, `wheel` is a file that is there."""

    pin: Pin  # with the hashes of its wheels or of its source, which a folder has none of
    line: str = ""
    wheel: str = ""  # absolute path


def read(text: str, folder: str) -> tuple[Found, ...]:
    """The packages of a file that was written into `folder`. Raises ValueError."""
    try:
        written = msgspec.convert(tomllib.loads(text), Written)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if len(written.packages) > MOST:
        raise ValueError(f"more than {MOST} packages")
    return tuple(_found(package, folder) for package in written.packages)


def _found(package: Package, folder: str) -> Found:
    name = normal(_checked(NAME, package.name))
    version = _checked(VERSION, package.version) if package.version else ""
    if package.archive is not None:
        return _archive(package.archive, name, version, folder)
    if package.directory is not None:
        place = _absolute(package.directory, folder)
        return Found(
            pin=Pin(name=name, version=version, hashes=()), line=f"{name} @ file://{place}"
        )
    if package.vcs is not None:
        return Found(pin=Pin(name=name, version=version, hashes=()), line=_git(package.vcs, name))
    if not version:
        raise ValueError(f"{name} has no version")
    if package.wheels:
        return Found(pin=Pin(name=name, version=version, hashes=_hashes(package.wheels)))
    if package.sdist is None:
        raise ValueError(f"there is nothing to install {name} from")
    pin = Pin(name=name, version=version, hashes=_hashes([package.sdist]))
    return Found(pin=pin, line=_hashed(pin.requirement, pin))


def _archive(archive: File, name: str, version: str, folder: str) -> Found:
    part = f"#subdirectory={_checked(PLACE, archive.subdirectory)}" if archive.subdirectory else ""
    pin = Pin(name=name, version=version, hashes=_hashes([archive]))
    if archive.url:
        url = _checked(PLACE, archive.url)
        if url.partition("#")[0].endswith(".whl"):
            return Found(pin=msgspec.structs.replace(pin, version="", url=url))
        return Found(pin=pin, line=_hashed(f"{name} @ {url}{part}", pin))
    place = _absolute(archive, folder)
    if place.endswith(".whl"):
        return Found(pin=pin, wheel=place)
    return Found(pin=pin, line=_hashed(f"{name} @ file://{place}{part}", pin))


def _git(vcs: File, name: str) -> str:
    if vcs.type != "git":
        raise ValueError(f"{name} is in a repository of an unknown kind")
    url, commit = _checked(PLACE, vcs.url), _checked(COMMIT, vcs.commit)
    part = f"#subdirectory={_checked(PLACE, vcs.subdirectory)}" if vcs.subdirectory else ""
    return f"{name} @ git+{url}@{commit}{part}"


def _hashed(requirement: str, pin: Pin) -> str:
    return " ".join([requirement, *(f"--hash={one}" for one in pin.hashes)])


def _hashes(files: Iterable[File]) -> tuple[str, ...]:
    found = {_checked(HASH, file.hashes.get("sha256", "")) for file in files}
    return tuple(sorted(f"sha256:{one}" for one in found))


def _absolute(file: File, folder: str) -> str:
    place = file.path or file.url.removeprefix("file://")
    return os.path.normpath(os.path.join(folder, _checked(PLACE, place)))


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text[:80]!r} can't be read")
    return text
