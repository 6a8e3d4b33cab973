"""Distributions as they lie in a folder, also in one that somebody made to mislead."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.builder.artifacts import distributions as folders
from services.builder.base.look import Package


def dist(root: Path, name: str, metadata: bytes) -> Path:
    info = root / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_bytes(metadata)
    return info


def test_every_distribution_is_found_sorted(tmp_path: Path) -> None:
    dist(tmp_path, "b-1", b"Metadata-Version: 2.1\nName: B_b\nVersion: 1\n\nName: no\n")
    dist(tmp_path, "a-2", b"Metadata-Version: 2.1\r\nName: a\r\nVersion: 2+cu121\r\n\r\nText")
    assert folders.distributions(tmp_path) == (
        Package(name="B_b", version="1"),
        Package(name="a", version="2+cu121"),
    )


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert folders.distributions(tmp_path) == ()


def test_what_has_no_readable_metadata_is_left_out(tmp_path: Path) -> None:
    dist(tmp_path, "a-1", b"Name: a\n\nVersion: 1\n")
    dist(tmp_path, "b-1", b"")
    (dist(tmp_path, "c-1", b"") / "METADATA").unlink()
    (dist(tmp_path, "d-1", b"") / "METADATA").unlink()
    (tmp_path / "lib/python3.11/site-packages/d-1.dist-info/METADATA").mkdir()
    assert folders.distributions(tmp_path) == ()


@pytest.mark.parametrize(
    ("metadata", "package"),
    [
        (b"name: a\nVERSION : 1\n", Package(name="a", version="1")),
        (b"Name: a\nVersion: 1\nName: b\n", Package(name="a", version="1")),
        (b"Summary: Name: b\nName:a\nVersion:1\n", Package(name="a", version="1")),
        (b"Name: \xff\nVersion: 1\n", Package(name="\ufffd", version="1")),
        (b"Name:\nVersion: 1\n", None),
        (b"Name: a\n", None),
        (b" Name: a\nVersion: 1\n", None),
    ],
)
def test_only_the_head_of_the_metadata_counts(metadata: bytes, package: Package | None) -> None:
    assert folders.described(metadata) == package
