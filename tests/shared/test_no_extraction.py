"""Nobody unpacks with Python's own extraction, which on some releases writes outside its folder.

See docs/adr/0007-own-archive-reader.md.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("services", "shared", "runtimes", "client/slipway")
CONFINED = {"services/builder/engines/inside/layers.py"}
"""Runs where the image's root is all that there is."""

MODULES = {"tarfile", "zipfile"}
CALLS = {"extract", "extractall", "_extract_member", "_extract_one"}


def extracts(source: str) -> bool:
    """Whether it calls an extraction of the standard library."""
    tree = ast.parse(source)
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    called = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    }
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return "unpack_archive" in called | named or bool(imported & MODULES and attributes & CALLS)


def test_no_service_extracts_with_the_standard_library() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)) for path in files if extracts(path.read_text("utf-8"))}
    assert found <= CONFINED


@pytest.mark.parametrize(
    "source",
    [
        "import tarfile\ntarfile.open('x').extractall('y')",
        "import tarfile as t\nwith t.open('x') as a:\n    a.extract('y', 'z')",
        "from zipfile import ZipFile\nZipFile('x').extractall()",
        "import shutil\nshutil.unpack_archive('x')",
        "from shutil import unpack_archive as u\nu('x')",
    ],
)
def test_extraction_is_seen(source: str) -> None:
    assert extracts(source)


@pytest.mark.parametrize(
    "source",
    [
        "from shared import archive\narchive.extract('x', 'y')",
        "import tarfile\ntarfile.TarInfo('x').tobuf()",
        "import tarfile\ntarfile.open('x').extractfile('y')",
    ],
)
def test_reading_and_our_own_is_not(source: str) -> None:
    assert not extracts(source)
