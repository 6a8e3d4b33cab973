"""What is in a base image: its system, its C library, its Python, and what is installed.

A pure function of the image's layers and of its config's environment. What can't be told for
certain is left empty.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.builder.base import installed, interpreter
from services.builder.base.installed import LONGEST, Package, text
from services.builder.base.interpreter import Python
from services.builder.base.rootfs import RootFs

__all__ = ["Look", "Package", "Python", "look"]


class Look(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    os: str = ""  # the id of os-release: debian
    os_version: str = ""  # 12
    libc: str = ""  # glibc-2.36, musl-1.2.4
    python: Python | None = None
    no_python: str = ""  # why there is none, when there is something of that name
    distributions: tuple[Package, ...] = ()  # in that Python's site folders
    manager: str = ""  # of the system's packages: dpkg, apk or rpm
    packages: tuple[Package, ...] = ()  # of the system; those of rpm are not read


def look(files: RootFs, environment: Mapping[str, str]) -> Look:
    """`environment` is that of the image's config."""
    system = _os_release(files)
    manager, packages = installed.packages(files)
    path = environment.get("PATH") or interpreter.PATH
    binary, why = interpreter.binary(files, path)
    python = None
    if binary is not None:
        python, why = interpreter.python(files, path, binary, environment, packages)
    return Look(
        os=system.get("ID", ""),
        os_version=system.get("VERSION_ID", ""),
        libc=interpreter.libc(files, binary, packages),
        python=python,
        no_python=why,
        distributions=installed.distributions(files, python.site if python else ()),
        manager=manager,
        packages=packages,
    )


def _os_release(files: RootFs) -> dict[str, str]:
    found = {}
    for path in ("/usr/lib/os-release", "/etc/os-release"):
        node = files.at(path)
        for line in text(node).splitlines():
            name, equals, value = line.partition("=")
            if equals:
                found[name.strip()] = value.strip().strip("\"'")[:LONGEST]
    return found
