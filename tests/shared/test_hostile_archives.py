"""Hundreds of hostile archives: each is refused with its reason, in time, and leaves no trace."""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import archive
from shared.errors import Invalid
from tests.shared.hostile import CARRIERS, KINDS, OUTSIDE, TARGETS, Row, extended, rows
from tests.shared.oddities import ODD
from tests.shared.tars import content, file, folder, gz, hardlink, header, symlink, tar

TABLE = ODD | dict(rows())
PATIENCE = 30.0  # seconds that the worst of them may take
LIMITS = archive.Limits(size=64 << 20, members=4_000)

Picture = dict[str, tuple[int, int, int, bytes | str]]


def picture(folder: Path) -> Picture:
    """All that is in a folder, as far as anybody could tell a difference."""

    def content_of(path: Path) -> bytes | str:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else ""

    found = {}
    for path in [folder, *folder.rglob("*")]:
        seen = path.lstat()
        found[str(path.relative_to(folder))] = (
            seen.st_mode,
            seen.st_nlink,
            seen.st_mtime_ns,
            content_of(path),
        )
    return found


class Surroundings:
    """A folder to unpack into, among things that must stay as they are."""

    def __init__(self, outer: Path) -> None:
        self.outer = outer
        self.into = outer / "a" / "b" / "into"
        self.into.mkdir(parents=True)
        for place in (outer, outer / "a", outer / "a" / "b"):
            (place / "x").write_text("sings")
            (place / "passwd").write_text("root")
        (outer / "a" / "secret").mkdir(mode=0o700)
        (outer / "a" / "link").symlink_to("secret")
        self.before = picture(outer)

    def check(self) -> None:
        """Nothing has changed, and the folder is empty."""
        os.utime(self.into, ns=(0, self.before["a/b/into"][2]))  # things came and went in it
        assert picture(self.outer) == self.before


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    found = Surroundings(tmp_path / "outer")
    monkeypatch.chdir(tmp_path / "outer" / "a" / "b")
    return found


def refusal(read: Callable[[], object]) -> Invalid:
    began = time.monotonic()
    with pytest.raises(Invalid) as caught:
        read()
    assert time.monotonic() - began < PATIENCE
    return caught.value


def made(row: Row) -> bytes:
    data, _ = row
    return data if isinstance(data, bytes) else data()


def test_there_are_hundreds() -> None:
    assert len(TABLE) >= 200
    assert len({made(row) for name, row in TABLE.items() if isinstance(row[0], bytes)}) >= 200


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused_with_its_reason_and_leaves_no_trace(
    name: str, surroundings: Surroundings
) -> None:
    data, reason = made(TABLE[name]), TABLE[name][1]
    looked = refusal(lambda: archive.inspect(io.BytesIO(data)))
    unpacked = refusal(lambda: archive.extract(io.BytesIO(data), surroundings.into, LIMITS))
    for error in (looked, unpacked):
        assert error.field == "source"
        assert re.search(reason, error.message), error.message
        assert error.message.isprintable()
        assert len(error.message) < 500
    surroundings.check()


@pytest.mark.parametrize(
    "name", ["PKG-INFO", "PKGBUILD", "BZhello", "070701-notes", "LZIP.md", "Rar!", "!<arch>", "]"]
)
def test_a_tar_whose_first_name_begins_like_another_archive_is_one(name: str) -> None:
    assert archive.inspect(io.BytesIO(tar(file(name)))).files == (name,)


def test_modes_of_a_stranger_are_not_kept(tmp_path: Path) -> None:
    data = tar(
        *(file(f"f{mode:o}", mode=mode) for mode in (0o4755, 0o2755, 0o1777, 0o7777, 0o000)),
        header("d", kind=b"5", mode=0o7777),
        header("e", kind=b"5", mode=0o000),
    )
    archive.extract(io.BytesIO(data), tmp_path / "into")
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "into").iterdir()}
    assert modes.pop("f0") == 0o644
    assert set(modes.values()) == {0o755}


def test_archives_within_an_archive_stay_packed(tmp_path: Path) -> None:
    inner = tar(file("../bottom"))
    for _ in range(20):
        inner = gz(tar(file("inner.tar.gz", inner)))
    archive.extract(io.BytesIO(inner), tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").rglob("*")] == ["inner.tar.gz"]


def test_the_memory_for_names_is_bounded() -> None:
    long = "/".join(["n" * 200] * 4)

    def parts() -> Iterator[bytes]:
        for number in range(90_000):
            body = f"{number:06}{long}".encode()
            size = len(body) + 10
            yield extended(b"%d path=%s\n" % (size, body)) + file("x", b"")

    with pytest.raises(Invalid, match="paths of more than"):
        archive.inspect(Stream(parts()))  # type: ignore[arg-type]


class Stream:
    """Reads what is made as it is read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size and (part := next(self._parts, b"")):
            self._held += part
        given, self._held = self._held[:size], self._held[size:]
        return given


PLACES = st.sampled_from([*OUTSIDE, "a", "b", "a/b", "a/b/c", "A", "x", "passwd", "./a", "a/", "é"])
FLAGS = st.one_of(
    st.sampled_from([*KINDS.values(), b"1", b"7", b"\0"]), st.binary(min_size=1, max_size=1)
)
SIZES = st.one_of(
    st.integers(0, 2000),
    st.sampled_from([2**31, 2**33, 2**40]),
    st.binary(min_size=12, max_size=12),
)
RECORDS = st.dictionaries(
    st.sampled_from([b"path", b"linkpath", b"size", b"comment", b"GNU.sparse.map", b"mtime"]),
    st.one_of(st.binary(max_size=12), PLACES.map(str.encode)),
    max_size=3,
)


def told(records: dict[bytes, bytes], lie: int) -> bytes:
    """A pax header whose lengths are wrong by `lie`."""
    lines = []
    for key, value in records.items():
        size = len(key) + len(value) + 5
        lines.append(b"%02d %s=%s\n" % (max(0, size + lie) % 100, key, value))
    return extended(b"".join(lines))


def cut(data: bytes, at: int, by: bytes) -> bytes:
    """`data` with a few bytes of it put in place of others."""
    where = at % (len(data) + 1)
    return data[:where] + by + data[where + len(by) :]


PARTS = st.one_of(
    st.builds(file, PLACES, st.binary(max_size=600)),
    st.builds(folder, PLACES),
    st.builds(symlink, PLACES, PLACES),
    st.builds(hardlink, PLACES, PLACES),
    st.builds(
        lambda carry, name, kind: carry(name.encode(), kind),
        st.sampled_from(list(CARRIERS.values())),
        PLACES,
        FLAGS,
    ),
    st.builds(
        lambda carry, target, kind: carry(target.encode(), kind),
        st.sampled_from(list(TARGETS.values())),
        PLACES,
        FLAGS,
    ),
    st.builds(
        lambda name, kind, size, link, prefix, magic: header(
            name, kind=kind, size=size, link=link, prefix=prefix.encode(), magic=magic
        ),
        PLACES,
        FLAGS,
        SIZES,
        PLACES,
        PLACES,
        st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)]),
    ),
    st.builds(told, RECORDS, st.sampled_from([0, 0, 0, -1, 1, 50])),
    st.binary(max_size=700).map(content),
)
ARCHIVES = st.builds(
    lambda parts, at, by, zipped: (gz if zipped else bytes)(cut(tar(*parts), at, by)),
    st.lists(PARTS, max_size=10),
    st.integers(0, 1 << 20),
    st.one_of(st.just(b""), st.binary(max_size=4)),
    st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(ARCHIVES)
def test_whatever_it_says_it_is_unpacked_whole_or_refused_without_a_trace(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        around = Surroundings(Path(name).resolve())
        try:
            listing = archive.extract(io.BytesIO(data), around.into, LIMITS)
        except Invalid:
            around.check()
            return
        assert listing == archive.inspect(io.BytesIO(data), LIMITS)
        found = {str(path.relative_to(around.into)) for path in around.into.rglob("*")}
        assert {member.path for member in listing.members} == found
        for path in around.into.rglob("*"):
            assert path.resolve().is_relative_to(around.into)
            assert path.is_symlink() or path.lstat().st_mode & 0o7022 == 0
            assert path.is_symlink() or path.is_dir() or path.lstat().st_nlink == 1
        inside = {"a/b/into", *(f"a/b/into/{path}" for path in found)}
        after = {
            place: seen for place, seen in picture(around.outer).items() if place not in inside
        }
        assert after == {p: seen for p, seen in around.before.items() if p not in inside}
