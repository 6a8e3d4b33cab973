"""The folder that archives are written below, asked for what the checks above it never ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.archive.root import Root


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "way").symlink_to(outside)
    (inside / "file").symlink_to(outside / "file")
    with Root(inside) as root:
        for path in ("way/x", "way/a/b", "file/x"):
            with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
                root.write(path, [b"x"], executable=False)
        with pytest.raises(FileExistsError):
            root.write("file", [b"x"], executable=False)
        with pytest.raises(OSError, match="Too many levels"):
            list(root.content("file"))
    assert list(outside.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    with Root(tmp_path) as root:
        root.write("a/b", [b"first"], executable=False)
        with pytest.raises(FileExistsError):
            root.write("a/b", [b"second"], executable=False)
        with pytest.raises(FileExistsError):
            root.link("a/b", "c")
    assert (tmp_path / "a/b").read_bytes() == b"first"


def test_folders_are_found_again_in_any_order(tmp_path: Path) -> None:
    paths = ["a/b/c/x", "a/b/y", "a/z", "w", "a/b/c/d/v", "ab/x", "a/b/c/u"]
    with Root(tmp_path) as root:
        for path in paths:
            root.write(path, [path.encode()], executable=False)
    found = {
        str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()
    }
    assert found == {path: path for path in paths}


def test_a_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        Root(tmp_path / "link")


def test_no_folder_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Root(tmp_path) as root:
        for number in range(50):
            root.write(f"d{number}/e/x", [b"x"], executable=True)
        root.write("d0/copy", root.content("d1/e/x"), executable=False)
        with pytest.raises(FileNotFoundError):
            list(root.content("d0/none"))
    assert len(os.listdir("/proc/self/fd")) == before
