"""Unpacking what strangers' programs have packed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from slipway.errors import BadSource
from slipway.unpack import unpack


def packed(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of members: name, kind, and content or target."""
    with tarfile.open(path, "w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_files_and_folders_come_to_their_places(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "a.tar",
        ("deep", tarfile.DIRTYPE, ""),
        ("deep/er/one", tarfile.REGTYPE, "1"),
        ("two", tarfile.REGTYPE, "2"),
    )
    into = tmp_path / "into"
    for _ in range(2):  # what is there is replaced
        assert unpack(archive, into) == ["deep/er/one", "two"]
    assert (into / "deep/er/one").read_text() == "1"
    assert (into / "two").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "members",
    [
        [("../out", tarfile.REGTYPE, "x")],
        [("/out", tarfile.REGTYPE, "x")],
        [("a/../../out", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, "/etc/passwd")],
        [("link", tarfile.LNKTYPE, "../out")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("device", tarfile.CHRTYPE, "")],
    ],
)
def test_what_is_no_plain_file_inside_is_refused(tmp_path: Path, members: list[tuple]) -> None:
    into = tmp_path / "into"
    with pytest.raises(BadSource):
        unpack(packed(tmp_path / "a.tar", *members), into)
    assert not (tmp_path / "out").exists()
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("said", [{"path": "a\0b"}, {"GNU.sparse.map": "0,x"}])
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, said: dict[str, str]) -> None:
    member = tarfile.TarInfo("file")
    member.pax_headers = said
    (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    with pytest.raises(BadSource, match="can't be read"):
        unpack(tmp_path / "a.tar", tmp_path / "into")


def test_nothing_is_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "a").symlink_to(outside)
    with pytest.raises(BadSource):
        unpack(packed(tmp_path / "a.tar", ("a/file", tarfile.REGTYPE, "x")), into)
    assert list(outside.iterdir()) == []
    (outside / "b").write_text("mine")
    (into / "b").symlink_to(outside / "b")
    unpack(packed(tmp_path / "b.tar", ("b", tarfile.REGTYPE, "theirs")), into)
    assert (outside / "b").read_text() == "mine"


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(BadSource):
        unpack(tmp_path / "a.tar", tmp_path / "into")
