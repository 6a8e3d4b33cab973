"""Hostile and honest archives: what is refused, with which words, and that nothing gets out."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import archive
from shared.errors import Invalid
from tests.shared.tars import (
    END,
    content,
    file,
    folder,
    gz,
    hardlink,
    header,
    packed,
    pax,
    record,
    symlink,
    tar,
)

SMALL = archive.Limits(size=200_000, members=50, links=5, ratio=50)
LONG = b"n" * 90 + b"/"

HOSTILE: dict[str, tuple[bytes, str]] = {
    # names
    "parent": (tar(file("../x")), "member '../x' leaves the archive"),
    "parent inside": (tar(file("a/../../x")), "leaves the archive"),
    "parent at the end": (tar(folder("a/..")), "leaves the archive"),
    "parent in pax": (tar(pax({"path": b"../x"}), file("x")), "member '../x' leaves the archive"),
    "parent in a GNU long name": (
        tar(header("L", kind=b"L", size=5) + content(b"../x\0"), file("x")),
        "leaves the archive",
    ),
    "parent in a prefix": (tar(header("x", prefix=b"..")), "leaves the archive"),
    "absolute": (tar(file("/etc/passwd")), "has an absolute path"),
    "absolute by prefix": (tar(header("passwd", prefix=b"/etc")), "has an absolute path"),
    "drive letter": (tar(file("C:\\x")), "has an absolute path"),
    "drive letter and slash": (tar(file("c:/x")), "has an absolute path"),
    "backslash": (tar(file("..\\x")), "backslash"),
    "NUL in pax": (tar(pax({"path": b"a\0b"}), file("x")), "control characters"),
    "newline": (tar(file("a\nb")), "control characters"),
    "escape": (tar(file("a\x1b[2Jb")), "control characters"),
    "not UTF-8": (tar(file(b"a\xff")), "not UTF-8"),
    "no name": (tar(file("")), "has no name"),
    "a file named dot": (tar(file(".")), "has no name"),
    "long path": (tar(pax({"path": LONG * 50 + b"x"}), file("x")), "more than 1000 bytes"),
    "long name": (tar(pax({"path": b"x" * 256}), file("x")), "more than 255 bytes"),
    "deep": (tar(pax({"path": b"a/" * 65 + b"x"}), file("x")), "folders deep"),
    "twice": (tar(file("a"), file("a")), "member 'a' is there twice"),
    "twice by spelling": (tar(file("a/b"), file("./a//b")), "is there twice"),
    "file then folder": (tar(file("a"), folder("a")), "is there twice"),
    "file as folder": (tar(file("a"), file("a/b")), "goes through the file 'a'"),
    "folder as file": (tar(file("a/b"), file("a")), "is there twice"),
    "case twins": (tar(file("Readme"), file("README")), "only in case"),
    "case twins of folders": (tar(file("A/x"), file("a/y")), "only in case"),
    "accent twins": (tar(file("é"), file("e\u0301")), "only in case or accents"),
    # links
    "symlink to root": (tar(symlink("a", "/etc")), "is a link that leaves the archive"),
    "symlink up": (tar(symlink("a/b", "../../x")), "is a link that leaves the archive"),
    "symlink to the parent": (tar(symlink("a", "..")), "is a link that leaves the archive"),
    "symlink by pax": (tar(pax({"linkpath": b"/x"}), symlink("a", "b")), "leaves the archive"),
    "write through a symlink": (
        tar(symlink("a", "b"), file("a/x")),
        "goes through the symlink 'a'",
    ),
    "symlink over a folder": (tar(file("a/x"), symlink("a", "b")), "is there twice"),
    "symlink twice": (tar(symlink("a", "b"), symlink("a", "c")), "is there twice"),
    "file over a symlink": (tar(symlink("a", "b"), file("a")), "is there twice"),
    "link chain that climbs": (
        # each link alone stays inside; through the first, the second does not
        tar(symlink("p/q/d", "../.."), symlink("e", "p/q/d/../x")),
        "member 'e' is a link that leaves",
    ),
    "link chain in the other order": (
        tar(symlink("e", "p/q/d/../x"), symlink("p/q/d", "../..")),
        "member 'e' is a link that leaves",
    ),
    "link in circles": (tar(symlink("a", "b"), symlink("b", "a")), "in circles"),
    "link to itself": (tar(symlink("a", "a/x")), "in circles"),
    "link to nothing": (tar(symlink("a", "")), "what can't be a path"),
    "link with a newline": (tar(symlink("a", "b\nc")), "what can't be a path"),
    "too many links": (tar(*(symlink(f"l{n}", "x") for n in range(6))), "more than 5 links"),
    "hard link outside": (tar(hardlink("a", "../x")), "leaves the archive"),
    "hard link to root": (tar(hardlink("a", "/etc/passwd")), "absolute"),
    "hard link ahead": (tar(hardlink("a", "b"), file("b")), "not an earlier file"),
    "hard link to a folder": (tar(folder("b"), hardlink("a", "b")), "not an earlier file"),
    "hard link to a symlink": (tar(symlink("b", "c"), hardlink("a", "b")), "not an earlier file"),
    "hard link bomb": (
        tar(file("a", b"x" * 50_000), *(hardlink(f"b{n}", "a") for n in range(4))),
        "more than the 200000 bytes",
    ),
    # kinds
    "character device": (tar(header("a", kind=b"3")), "member 'a' is a device"),
    "block device": (tar(header("a", kind=b"4")), "is a device"),
    "FIFO": (tar(header("a", kind=b"6")), "is a FIFO"),
    "GNU sparse": (tar(header("a", kind=b"S", size=b"%011o" % (8 << 30))), "is a sparse file"),
    "pax sparse": (tar(pax({"GNU.sparse.realsize": b"8796093022208"}), file("a")), "sparse"),
    "unknown kind": (tar(header("a", kind=b"Z")), "of an unknown kind"),
    "folder with content": (tar(header("a/", kind=b"5", size=512), bytes(512)), "has content"),
    "link with content": (tar(header("a", kind=b"2", link="b", size=9)), "has content"),
    # sizes
    "negative size": (tar(header("a", size=b"\xff" * 11 + b"\0")), "garbled"),
    "huge size": (tar(header("a", size=b"\x80" + b"\xff" * 11)), "impossible size"),
    "large size": (tar(header("a", size=300_000)), "more than the 200000 bytes"),
    "size in words": (tar(header("a", size=b"lots")), "garbled"),
    "negative pax size": (tar(pax({"size": b"-512"}), file("a")), "impossible size"),
    "huge pax size": (tar(pax({"size": b"9" * 30}), file("a")), "impossible size"),
    "too many": (tar(*(folder(f"d{n}") for n in range(51))), "more than the 50 members"),
    "too many folders between": (
        tar(*(pax({"path": b"%d/" % n * 60 + b"x"}) + file("x") for n in range(3))),
        "more than 100 folders",
    ),
    "zeros": (gz(tar(file("a", bytes(400_000)))), "more than the 200000 bytes"),
    # extended headers
    "endless pax": (tar(*([pax({"comment": b"x"})] * 5), file("a")), "in a row"),
    "large pax": (tar(header("p", kind=b"x", size=2 << 20)), "more than 1048576 bytes"),
    "garbled pax": (tar(header("p", kind=b"x", size=4) + content(b"abcd"), file("a")), "garbled"),
    "pax of length 0": (
        tar(header("p", kind=b"x", size=6) + content(b"0 a=b\n"), file("a")),
        "garbled pax",
    ),
    "pax past its end": (
        tar(header("p", kind=b"x", size=8) + content(b"99 a=bc\n"), file("a")),
        "garbled pax",
    ),
    "pax of many records": (
        tar(header("p", kind=b"x", size=5 * 400) + content(b"5 a=\n" * 400), file("a")),
        "more than 256 records",
    ),
    "path for all": (tar(pax({"path": b"x"}, b"g"), file("a")), "global header"),
    "named twice": (
        tar(header("L", kind=b"L", size=2) + content(b"x\0"), pax({"path": b"y"}), file("z")),
        "describes a member twice",
    ),
    "extended header last": (tar(pax({"path": b"x"})), "after an extended header"),
    # damage
    "empty": (b"", "is empty"),
    "text": (b"hello, world\n" * 100, "is not a tar"),
    "short text": (b"hello", "ends in the middle"),
    "zip": (b"PK\x03\x04" + bytes(600), "is a zip archive; send a tar or a tar.gz"),
    "bzip2": (b"BZh9" + bytes(600), "is a bzip2 archive"),
    "xz": (b"\xfd7zXZ\x00" + bytes(600), "is a xz archive"),
    "zstandard": (b"\x28\xb5\x2f\xfd" + bytes(600), "is a zstandard archive"),
    "wrong checksum": (bytes([header("a")[0] + 1]) + header("a")[1:] + END, "checksum"),
    "cut in content": (file("a", b"x" * 2000)[:1024], "ends in the middle"),
    "cut in a header": (file("a")[:300], "ends in the middle"),
    "cut between members": (file("a"), "not a tar, or was cut short"),
    "goes on after its end": (tar(file("a")) + file("b"), "after its end mark"),
    "cut gzip": (gz(tar(file("a")))[:-9], "gzip ends early"),
    "broken gzip": (gz(tar(file("a")))[:-8] + bytes(8), "not valid gzip"),
    "gzip of gzip": (gz(gz(tar(file("a")))), "is not a tar"),
    "many gzips": (gz(b"") * 10_001, "more than 10000 gzip files"),
    "gzip of text": (gz(b"hello " * 200), "is not a tar"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_with_its_reason_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    data, message = HOSTILE[name]
    with pytest.raises(Invalid) as inspected:
        archive.inspect(io.BytesIO(data), SMALL)
    with pytest.raises(Invalid) as extracted:
        archive.extract(io.BytesIO(data), tmp_path / "into", SMALL)
    for error in (inspected.value, extracted.value):
        assert error.field == "source"
        assert message in error.message
        assert len(error.message) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["into"]
    assert list((tmp_path / "into").iterdir()) == []


def test_an_honest_archive_comes_out_as_it_went_in(tmp_path: Path) -> None:
    data = tar(
        folder("./"),
        file("./run.sh", b"#!/bin/sh\n", mode=0o4755),
        file("lib/a.py", b"a = 1\n", mode=0o666),
        hardlink("lib/copy.py", "./lib/a.py"),
        symlink("current", "lib"),
        symlink("lib/up", "../run.sh"),
        symlink("dangling", "no/where"),
        folder("lib/"),
    )
    for number, form in enumerate(
        (data, gz(data), gz(data) + bytes(512), gz(data[:700]) + gz(data[700:]))
    ):
        into = tmp_path / str(number)
        listing = archive.extract(io.BytesIO(form), into, SMALL)
        assert listing == archive.inspect(io.BytesIO(form), SMALL)
        assert listing.files == ("run.sh", "lib/a.py", "lib/copy.py")
        assert (into / "current/copy.py").read_text() == "a = 1\n"
        assert (into / "lib/up").resolve() == (into / "run.sh").resolve()
        assert os.readlink(into / "dangling") == "no/where"
        assert (into / "run.sh").stat().st_mode & 0o7777 == 0o755
        assert (into / "lib/a.py").stat().st_mode & 0o7777 == 0o644
        assert (into / "lib").stat().st_mode & 0o7777 == 0o755
        assert (into / "lib/a.py").stat().st_ino != (into / "lib/copy.py").stat().st_ino


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        archive.extract(io.BytesIO(tar(file("a/b", mode=0o755))), tmp_path / "into")
    finally:
        os.umask(before)
    assert (tmp_path / "into/a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "into/a/b").stat().st_mode & 0o777 == 0o755


def test_an_archive_of_nothing_is_an_empty_folder(tmp_path: Path) -> None:
    assert archive.extract(io.BytesIO(END), tmp_path / "into").members == ()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        archive.extract(io.BytesIO(tar(file("a"))), tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_understood(format: int, tmp_path: Path) -> None:
    deep = "/".join(["folder-with-a-name"] * 9) + "/file.py"
    files = {"a.py": b"1", deep: b"2", "größe.txt": b"3" * 5000}
    archive.extract(io.BytesIO(packed(files, format)), tmp_path / "into")
    for name, data in files.items():
        assert (tmp_path / "into" / name).read_bytes() == data


def test_a_global_comment_is_no_harm(tmp_path: Path) -> None:
    data = tar(pax({"comment": b"4f2a9c"}, b"g"), file("a"))  # as git archive writes
    assert archive.inspect(io.BytesIO(data)).files == ("a",)


def test_large_numbers_are_read_in_binary() -> None:
    size = (300).to_bytes(12, "big")
    data = tar(header("a", size=b"\x80" + size[1:]) + content(b"x" * 300))
    assert archive.inspect(io.BytesIO(data)).size == 300


def test_a_bomb_is_stopped_by_its_ratio_in_little_memory() -> None:
    bomb = gz(header("a", size=80 << 20) + bytes(80 << 20) + END)
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="more than 250 times its size"):
            archive.inspect(io.BytesIO(bomb))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_tangled_links_end_in_time() -> None:
    hops = [symlink(f"l{n}", "/".join([f"l{n - 1}"] * 1 + ["x/.."] * 40)) for n in range(1, 39)]
    many = [symlink(f"m{n}", "l38") for n in range(2_000)]
    with pytest.raises(Invalid, match="links through links"):
        archive.inspect(io.BytesIO(tar(*hops, *many)))


class TestReadingOneMember:
    DATA = gz(tar(file("./valohai.yaml", b"- endpoint:\n"), symlink("link", "valohai.yaml")))

    def test_gives_its_content(self) -> None:
        found = archive.read_member(io.BytesIO(self.DATA), "valohai.yaml", 100)
        assert found == b"- endpoint:\n"

    def test_gives_none_when_there_is_none(self) -> None:
        assert archive.read_member(io.BytesIO(self.DATA), "other.yaml", 100) is None

    def test_refuses_more_than_the_limit(self) -> None:
        with pytest.raises(Invalid, match="larger than the 5 bytes allowed"):
            archive.read_member(io.BytesIO(self.DATA), "valohai.yaml", 5)

    def test_does_not_follow_links(self) -> None:
        with pytest.raises(Invalid, match="is a symlink; it must be a file"):
            archive.read_member(io.BytesIO(self.DATA), "link", 100)

    def test_names_the_field_it_is_told(self) -> None:
        with pytest.raises(Invalid) as caught:
            archive.read_member(io.BytesIO(b"?"), "x", 1, field="model.source_uri")
        assert caught.value.field == "model.source_uri"

    def test_reads_from_a_path(self, tmp_path: Path) -> None:
        (tmp_path / "a.tgz").write_bytes(self.DATA)
        assert archive.read_member(tmp_path / "a.tgz", "valohai.yaml", 100) == b"- endpoint:\n"


SEGMENTS = st.sampled_from(["a", "b", "A", "..", ".", "", "é", "x\n", "C:", "\\", "n" * 90])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)
PARTS = st.one_of(
    st.builds(file, PATHS, st.binary(max_size=600)),
    st.builds(folder, PATHS),
    st.builds(symlink, PATHS, PATHS),
    st.builds(hardlink, PATHS, PATHS),
    st.builds(lambda path: pax({"path": path.encode()}), PATHS),
    st.builds(lambda path: pax({"linkpath": path.encode()}), PATHS),
    st.builds(lambda raw: content(record(b"path", raw)), st.binary(max_size=20)),
    st.binary(max_size=600).map(content),
)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=8), st.booleans())
def test_nothing_is_ever_written_outside(parts: list[bytes], zipped: bool) -> None:
    data = gz(tar(*parts)) if zipped else tar(*parts)
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name).resolve()
        (outer / "canary").write_text("sings")
        into = outer / "x" / "into"
        try:
            listing = archive.extract(io.BytesIO(data), into, SMALL)
        except Invalid:
            assert not any(into.iterdir())
        else:
            assert {m.path for m in listing.members} == everything(into)
            for path in into.rglob("*"):
                assert path.resolve(strict=False).is_relative_to(into)
                assert path.is_symlink() or path.is_dir() or path.is_file()
        assert {"canary", "x", "x/into"} == {
            path for path in everything(outer) if not path.startswith("x/into/")
        }
        assert (outer / "canary").read_text() == "sings"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_a_listing_or_an_error_of_the_sender(data: bytes) -> None:
    for form in (data, gz(data), b"\x1f\x8b\x08\0" + data):
        with suppress(Invalid):
            archive.inspect(io.BytesIO(form), SMALL)


NAMES = st.text("abcdé_.-", min_size=1, max_size=12).filter(lambda name: set(name) - {"."})
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "t/" + "/".join(parts) + ".py"),
    st.binary(max_size=2000),
    max_size=8,
).filter(lambda files: not any(a.startswith(b + "/") for a in files for b in files))


@settings(max_examples=100, deadline=None)
@given(TREES, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_tarfile_packs_is_read_alike(files: dict[str, bytes], format: int) -> None:
    listing = archive.inspect(io.BytesIO(gz(packed(files, format))))
    assert listing.files == tuple(files)
    assert listing.size == sum(map(len, files.values()))
