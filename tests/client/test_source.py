"""Packing: what goes in, what stays at home, what is refused, and that it is always the same."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import ignore, source
from slipway.errors import BadSource


def packed(folder: Path) -> tuple[source.Packed, bytes]:
    out = io.BytesIO()
    return source.pack(folder, out), out.getvalue()


def names(folder: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed(folder)[1])) as archive:
        return archive.getnames()


def write(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "b.py", "a/x.py", "a.txt")
    two = write(tmp_path / "two", "a.txt", "a/x.py", "b.py")
    os.utime(two / "b.py", (1, 1))
    (two / "a.txt").chmod(0o600)
    assert packed(one) == packed(two)
    (two / "b.py").write_text("changed")
    assert packed(one)[0].digest != packed(two)[0].digest


def test_names_are_sorted_and_nothing_tells_who_or_when(tmp_path: Path) -> None:
    write(tmp_path, "z.py", "a/b.py", "run.sh")
    (tmp_path / "run.sh").chmod(0o700)
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path)[1])) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == ["a/b.py", "run.sh", "z.py"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert [oct(member.mode) for member in members] == ["0o644", "0o755", "0o644"]


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    found, content = packed(write(tmp_path, "a.py"))
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(content)
    assert source.digest(archive).digest == found.digest
    assert found.size == len(content)


def test_progress_is_told_for_each_file(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    write(tmp_path, "a.py", "b/c.py")
    source.pack(tmp_path, io.BytesIO(), lambda name, size: told.append((name, size)))
    assert told == [("a.py", 4), ("b/c.py", 6)]


def test_what_tools_leave_behind_stays_at_home(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", ".venv/bin/python", "a/__pycache__/x.pyc", "a/x.pyc", "a/x.py")
    assert names(tmp_path) == ["a/x.py"]


def test_gitignore_counts_in_every_folder_and_slipwayignore_has_the_last_word(
    tmp_path: Path,
) -> None:
    write(tmp_path, "data/big.bin", "model.pkl", "sub/keep.tmp", "sub/x.tmp", "x.tmp", "out/a")
    (tmp_path / ".gitignore").write_text("*.tmp\n*.pkl\n/out/\n# data\n\ndata/*\n")
    (tmp_path / ".slipwayignore").write_text("!model.pkl\n.*ignore\n")
    (tmp_path / "sub" / ".gitignore").write_text("!keep.tmp\n")
    assert names(tmp_path) == ["model.pkl", "sub/keep.tmp"]


@pytest.mark.parametrize(
    ("line", "path", "out"),
    [
        ("*.log", "a.log", True),
        ("*.log", "deep/down/a.log", True),
        ("*.log", "a.log.txt", False),
        ("/a.log", "a.log", True),
        ("/a.log", "deep/a.log", False),
        ("deep/*.log", "deep/a.log", True),
        ("deep/*.log", "deep/down/a.log", False),
        ("deep/**/a.log", "deep/a.log", True),
        ("deep/**/a.log", "deep/x/y/a.log", True),
        ("**/a.log", "x/a.log", True),
        ("deep/**", "deep/x/y", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].py", "a.py", True),
        ("[!ab].py", "a.py", False),
        ("[!ab].py", "c.py", True),
        ("[", "[", True),
        ("\\#x", "#x", True),
        ("\\!x", "!x", True),
        ("logs/", "logs", False),
        ("a.py   ", "a.py", True),
    ],
)
def test_a_rule_means_what_git_means(line: str, path: str, out: bool) -> None:
    assert ignore.ignored(path, False, ignore.rules("", line)) is out


@given(st.text(max_size=30), st.text("ab/.*", min_size=1, max_size=20))
def test_no_rule_breaks_the_reader(line: str, path: str) -> None:
    ignore.ignored(path, False, ignore.rules("", line))


def test_links_inside_the_folder_stay_links(tmp_path: Path) -> None:
    write(tmp_path, "a/model.bin")
    (tmp_path / "latest").symlink_to("a/model.bin")
    (tmp_path / "a" / "up").symlink_to("../a")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path)[1])) as archive:
        links = {m.name: m.linkname for m in archive.getmembers() if m.issym()}
    assert links == {"latest": "a/model.bin", "a/up": "../a"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside", "hop/outside"])
def test_links_that_leave_the_folder_are_refused(tmp_path: Path, target: str) -> None:
    folder = write(tmp_path / "code", "a/x")
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "code" / "hop").mkdir() if target.startswith("hop") else None
    if target.startswith("hop"):
        (folder / "hop").rmdir()
        (folder / "hop").symlink_to("..")
    (folder / "link").symlink_to(target)
    with pytest.raises(BadSource, match="leaves the folder") as told:
        packed(folder)
    assert ".slipwayignore" in told.value.hint


def test_a_link_that_leaves_is_no_harm_when_it_is_ignored(tmp_path: Path) -> None:
    (write(tmp_path, "a.py") / "data").symlink_to("/")
    (tmp_path / ".slipwayignore").write_text("data\n.slipwayignore\n")
    assert names(tmp_path) == ["a.py"]


def test_a_ring_of_links_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    (tmp_path / "x").symlink_to("y")
    (tmp_path / "y").symlink_to("x")
    with pytest.raises(BadSource, match="link x"):
        packed(tmp_path)


def test_a_pipe_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(write(tmp_path, "a.py") / "pipe")
    with pytest.raises(BadSource, match="pipe is neither"):
        packed(tmp_path)


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff.py", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(BadSource, match="not valid UTF-8"):
        packed(tmp_path)


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="holds no files"):
        packed(tmp_path)
    with pytest.raises(BadSource, match="is not a folder"):
        packed(tmp_path / "nothing")


def test_long_and_foreign_names_survive(tmp_path: Path) -> None:
    long = "/".join(["d" * 100] * 3) + "/ünï-日本.py"
    assert names(write(tmp_path, long)) == [long]
