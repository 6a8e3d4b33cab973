"""Which Python a base image has, and which C library it is made for, told without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from services.builder.base.installed import Package, text
from services.builder.base.rootfs import Node, RootFs

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMES: Final = ("python3", "python")
MOST_FOLDERS: Final = 64  # of PATH

BINARY: Final = re.compile(r"python(3\.\d{1,2})")
VERSION: Final = re.compile(r"3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?")


class Python(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The interpreter that `python3`, or else `python`, is in the image."""

    executable: str  # where PATH finds it; in a virtual environment a link
    version: str  # 3.11.2, or 3.11 when no more can be told
    names: tuple[str, ...]  # those of `python3` and `python` that PATH finds at all
    site: tuple[str, ...] = ()  # folders that hold its packages
    venv: bool = False  # a virtual environment, which does not look into a user base


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    place: str  # where PATH finds it
    real: str  # where links lead from there
    node: Node


def binary(files: RootFs, path: str) -> tuple[Binary | None, str]:
    """The interpreter's; or None and why, when there is something of that name."""
    for name in NAMES:
        for folder in path.split(":")[:MOST_FOLDERS]:
            place = f"{folder.rstrip('/')}/{name}"
            found = files.find(place) if folder.startswith("/") else None
            if found is None or found[1].below is not None:
                continue
            real, node = found
            if not node.content.startswith(b"\x7fELF"):
                return None, f"{place} is a script, not an interpreter"
            if "pypy" in real.rpartition("/")[2]:
                return None, f"{place} is PyPy, which is not supported"
            return Binary(place=place, real=real, node=node), ""
    return None, ""


def python(
    files: RootFs,
    path: str,
    found: Binary,
    environment: Mapping[str, str],
    packages: Sequence[Package],
) -> tuple[Python | None, str]:
    place, real = found.place, found.real
    home, whole = _venv(files, place)
    version = _version(files, found, environment, packages)
    if not version:
        return None, f"which version {place} is can't be told"
    minor = ".".join(version.split(".")[:2])
    own = _above(place) if home else _above(real)
    folders = [f"{own}/lib/python{minor}/site-packages", f"{own}/lib64/python{minor}/site-packages"]
    if home and whole:
        folders += _system_folders(_above(real), minor)
    elif not home:
        folders += _system_folders(own, minor)
    sites = {where[0]: None for folder in folders if (where := files.find(folder)) is not None}
    return Python(
        executable=place,
        version=version,
        names=tuple(name for name in NAMES if _on_path(files, path, name)),
        site=tuple(sites),
        venv=home and not whole,
    ), ""


def _on_path(files: RootFs, path: str, name: str) -> bool:
    folders = path.split(":")[:MOST_FOLDERS]
    return any(files.at(f"{folder}/{name}") for folder in folders if folder.startswith("/"))


def _above(path: str) -> str:
    """The folder that the folder of an executable lies in: /usr for /usr/bin/python3."""
    return path.rpartition("/")[0].rpartition("/")[0]


def _system_folders(prefix: str, minor: str) -> list[str]:
    """Where else an interpreter of the system looks, as Debian and Fedora have it."""
    if prefix not in ("/usr", ""):
        return [f"{prefix}/lib/python{minor}/site-packages"]
    return [
        f"/usr/local/lib/python{minor}/dist-packages",
        "/usr/lib/python3/dist-packages",
        f"/usr/lib/python{minor}/dist-packages",
        f"/usr/local/lib/python{minor}/site-packages",
        f"/usr/lib/python{minor}/site-packages",
    ]


def _venv(files: RootFs, place: str) -> tuple[bool, bool]:
    """Whether it is a virtual environment, and one that sees the system's packages."""
    node = files.at(f"{_above(place)}/pyvenv.cfg")
    if node is None:
        return False, False
    shared = r"include-system-site-packages\s*=\s*true"
    return True, re.search(shared, text(node).lower()) is not None


def _version(
    files: RootFs,
    found: Binary,
    environment: Mapping[str, str],
    packages: Sequence[Package],
) -> str:
    """What the binary says itself; else its package; else what an official image promises."""
    real = found.real
    named = BINARY.match(real.rpartition("/")[2])
    minor = named[1] if named else ""
    said = {*found.node.words, *_library_words(files, _above(real), minor)}
    exact = [word.rstrip("+") for word in sorted(said) if word.startswith(f"{minor or 3}.")]
    if len(set(exact)) == 1:
        return exact[0]
    if _above(real) in ("/usr", ""):
        names = {f"python{minor}-minimal", f"python{minor}", "python3-minimal", "python3"}
        for package in packages:
            whole = VERSION.match(package.version)
            if package.name in names and whole and whole[0].startswith(f"{minor}."):
                return whole[0]
    promised = VERSION.fullmatch(environment.get("PYTHON_VERSION", ""))
    if promised and minor and promised[0].startswith(f"{minor}."):
        return promised[0]
    return minor


def _library_words(files: RootFs, prefix: str, minor: str) -> Iterator[str]:
    """Of the library that the interpreter's code may lie in, beside its own packages."""
    folders = [f"{prefix}/lib", f"{prefix}/lib64"]
    folders += [f"{prefix}/lib/{name}" for name in files.names(f"{prefix}/lib") if "linux" in name]
    for folder in folders:
        for name, node in files.names(folder).items():
            if name.startswith(f"libpython{minor}"):
                yield from node.words


def libc(files: RootFs, binary: Binary | None, packages: Sequence[Package]) -> str:
    """The one that Python is made for; without a Python, the one that is there."""
    musl, glibc = _musl(files, packages), _glibc(files, packages)
    if binary is not None:
        return musl if b"/ld-musl-" in binary.node.content else glibc
    return glibc or musl


def _musl(files: RootFs, packages: Sequence[Package]) -> str:
    for package in packages:
        if package.name == "musl" and (number := re.match(r"\d+\.\d+\.\d+", package.version)):
            return f"musl-{number[0]}"
    for folder in ("/lib", "/usr/lib"):
        for name, node in files.names(folder).items():
            if "musl" in name and len(node.words) == 1:
                return f"musl-{node.words[0]}"
    return ""


def _glibc(files: RootFs, packages: Sequence[Package]) -> str:
    folders = [
        f"{top}/{name}"
        for top in ("/lib", "/usr/lib")
        for name in files.names(top)
        if name.endswith("-linux-gnu") and not name.startswith("i386")
    ]
    for folder in (*folders, "/lib64", "/usr/lib64", "/lib", "/usr/lib"):
        for name, node in files.names(folder).items():
            if name.startswith("libc") and node.words and "GNU C" in node.words[0]:
                return f"glibc-{node.words[0].rpartition(' ')[2]}"
    for package in packages:
        if package.name == "libc6" and (number := re.match(r"\d\.\d+", package.version)):
            return f"glibc-{number[0]}"
    return ""
