"""What is installed in a base image, by the databases of its system and of its Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from services.builder.base.rootfs import Node, RootFs

LONGEST: Final = 200  # characters of a name or a version
MOST: Final = 100_000  # packages
PLAIN: Final = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
RPM: Final = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, order=True):
    name: str
    version: str
    architecture: str = ""  # of a package of the system


def text(node: Node | None) -> str:
    return "" if node is None else node.content.decode("utf-8", "replace")


def packages(files: RootFs) -> tuple[str, tuple[Package, ...]]:
    """The system's, and what manages them."""
    status = text(files.at("/var/lib/dpkg/status"))
    parts = files.names("/var/lib/dpkg/status.d")  # of images without a package manager
    if status or parts:
        texts = [status, *(text(node) for node in parts.values())]
        return "dpkg", _sorted(found for said in texts for found in _dpkg(said))
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        if node := files.at(path):
            return "apk", _sorted(_apk(text(node)))
    return ("rpm", ()) if any(files.names(path) for path in RPM) else ("", ())


def _sorted(found: Iterable[Package]) -> tuple[Package, ...]:
    kept = {package: None for package, _ in zip(found, range(MOST), strict=False)}
    return tuple(sorted(kept))


def _dpkg(status: str) -> Iterator[Package]:
    for paragraph in status.split("\n\n"):
        said = _fields(paragraph, ("Package", "Version", "Architecture", "Status"))
        # images without a package manager have no Status
        if "Package" in said and said.get("Status", " installed").endswith(" installed"):
            yield _package(said["Package"], said.get("Version", ""), said.get("Architecture", ""))


def _apk(status: str) -> Iterator[Package]:
    for paragraph in status.split("\n\n"):
        said = _fields(paragraph, ("P", "V", "A"))
        if "P" in said:
            yield _package(said["P"], said.get("V", ""), said.get("A", ""))


def distributions(files: RootFs, site: Sequence[str]) -> tuple[Package, ...]:
    """Python's own, in its site folders."""
    return _sorted(_distributions(files, site))


def _distributions(files: RootFs, site: Sequence[str]) -> Iterator[Package]:
    for folder in site:
        for name, node in files.names(folder).items():
            if name.endswith(".dist-info"):
                node = (node.below or {}).get("METADATA", node)
            elif name.endswith(".egg-info"):
                node = (node.below or {}).get("PKG-INFO", node)
            else:
                continue
            said = _fields(text(node).partition("\n\n")[0], ("Name", "Version"))
            if PLAIN.fullmatch(said.get("Name", "")):
                yield _package(said["Name"], said.get("Version", ""))


def _fields(paragraph: str, names: tuple[str, ...]) -> dict[str, str]:
    """The first of each of `names` in lines of `Name: value`."""
    found: dict[str, str] = {}
    for line in paragraph.splitlines():
        name, colon, value = line.partition(":")
        if colon and name in names and name not in found:
            found[name] = value.strip()[:LONGEST]
    return found


def _package(name: str, version: str, architecture: str = "") -> Package:
    return Package(name=name[:LONGEST], version=version, architecture=architecture)
