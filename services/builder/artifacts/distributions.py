"""What is installed in a folder of Python packages, from the metadata of its distributions.

It is looked at once, when the folder has been filled.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from services.builder.base.look import Package

MOST: Final = 20_000  # distributions in one folder
HEAD: Final = 1 << 16  # bytes of a METADATA file that are read: name and version come first

_FIELD: Final = re.compile(rb"^(Name|Version)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)


def distributions(root: Path) -> tuple[Package, ...]:
    """All that lie in a Python user base, sorted. What has no readable metadata is none."""
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
    Package(name='numpy', version='2.1.0', architecture='')
    """
    head = re.split(rb"\r?\n\r?\n", metadata, maxsplit=1)[0]
    fields: dict[bytes, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name.lower(), value.decode("utf-8", "replace"))
    if not fields.get(b"name") or not fields.get(b"version"):
        return None
    return Package(name=fields[b"name"], version=fields[b"version"])
