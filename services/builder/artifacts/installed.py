"""What is installed in a folder of Python packages, from the metadata of its distributions.

It is looked at once, when the folder has been filled, and kept beside the layer that is made of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

MOST: Final = 20_000  # distributions in one folder
HEAD: Final = 1 << 16  # bytes of a METADATA file that are read: name and version come first

_FIELD: Final = re.compile(rb"^(Name|Version)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)


class Package(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One thing that is installed. `sha256` is of the archive that it came in, where known."""

    name: str
    version: str
    sha256: str = ""


def installed(root: Path) -> tuple[Package, ...]:
    """Every distribution in a Python user base, sorted. What has no readable metadata is none."""
    found = set()
    for info in [*root.glob("lib/python*/site-packages/*.dist-info")][:MOST]:
        package = _package(info)
        if package is not None:
            found.add(package)
    return tuple(sorted(found))


def _package(info: Path) -> Package | None:
    try:
        with (info / "METADATA").open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    return described(head)


def described(metadata: bytes) -> Package | None:
    """The distribution that a METADATA file describes.

    >>> described(b"Metadata-Version: 2.1\\nName: numpy\\nVersion: 2.1.0\\n\\nName: not this")
    Package(name='numpy', version='2.1.0', sha256='')
    """
    head = re.split(rb"\r?\n\r?\n", metadata, maxsplit=1)[0]
    fields: dict[bytes, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.lower(), value.decode("utf-8", "replace"))
    if not fields.get(b"name") or not fields.get(b"version"):
        return None
    return Package(fields[b"name"], fields[b"version"])


def encode(packages: tuple[Package, ...]) -> bytes:
    """As it is kept beside a layer."""
    return msgspec.json.encode(packages)


def decode(body: bytes) -> tuple[Package, ...]:
    return msgspec.json.decode(body, type=tuple[Package, ...])
