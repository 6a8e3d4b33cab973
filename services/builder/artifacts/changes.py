"""What a layer has changed of what is installed in its base: what is left of it, and what is new.

A base's packages that a layer takes away as whole folders, and not one by one, stay listed: a bill
that names too much misleads less than one that names too little.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from services.builder.base import installed
from services.builder.base.look import Look, Package
from services.builder.base.rootfs import RootFs
from services.builder.base.scan import Found
from services.builder.python.requirements import normal
from shared.image import PYTHON

WHOLE: Final = ("/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/apk/db/installed")
"""Databases of systems, each in one file: a layer that has one has all of it."""

_METADATA: Final = re.compile(r"(.+?)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")


def over(base: Look, layer: Sequence[Found]) -> tuple[Look, Look]:
    """What is left of the base under a layer, and what the layer adds."""
    files = RootFs()
    files.apply(layer)
    site = (*(base.python.site if base.python else ()), *_user_site(base))
    manager, packages = installed.packages(files)
    distributions = installed.distributions(files, site)
    gone = {*_gone(layer, site)}
    whole = bool(packages) and any(files.at(path) for path in WHOLE)
    left = msgspec.structs.replace(
        base,
        packages=_kept(base.packages, packages) if whole else base.packages,
        distributions=tuple(p for p in base.distributions if _stem(p) not in gone),
    )
    added = Look(
        os=base.os,
        os_version=base.os_version,
        manager=manager,
        packages=_new(packages, left.packages),
        distributions=_new(distributions, left.distributions),
    )
    return left, added


def _user_site(base: Look) -> tuple[str, ...]:
    """Where `pip install` puts what it may not put into the system."""
    if base.python is None:
        return ()
    version = ".".join(base.python.version.split(".")[:2])
    return (f"{PYTHON}/lib/python{version}/site-packages",)


def _gone(layer: Sequence[Found], site: Collection[str]) -> Iterator[str]:
    """`name-version` of every folder of metadata that the layer takes away, to be compared."""
    folders = {folder.strip("/") for folder in site}
    for found in layer:
        above, _, name = found.path.rpartition("/")
        match = _METADATA.fullmatch(name)
        if found.kind == "gone" and above in folders and match:
            yield normal(match[1])


def _stem(package: Package) -> str:
    return normal(f"{package.name}-{package.version}")


def _kept(before: Sequence[Package], now: Sequence[Package]) -> tuple[Package, ...]:
    there = {*now}
    return tuple(package for package in before if package in there)


def _new(found: Sequence[Package], known: Sequence[Package]) -> tuple[Package, ...]:
    return tuple(sorted({*found} - {*known}))
