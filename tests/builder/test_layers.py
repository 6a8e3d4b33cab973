"""Layers: the same content gives the same bytes, whoever packs it, when, and in which order."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.builder import layers
from shared.blobs import Blobs

SEGMENT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))  # fmt: skip
TREES = st.dictionaries(
    st.lists(SEGMENT, min_size=1, max_size=3).map("/".join), st.binary(max_size=2000), max_size=8
).filter(lambda tree: not any(f"{a}/" in f"{b}/" for a in tree for b in tree if a != b))  # fmt: skip


def write(folder: Path, files: Mapping[str, bytes], *, mode: int = 0o644, at: float = 0.0) -> None:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        path.chmod(mode)
        os.utime(path, (at, at))


def packed(files: Mapping[str, bytes], **how: float) -> bytes:
    with TemporaryDirectory() as folder:
        write(Path(folder), files, **how)  # type: ignore[arg-type]
        return b"".join(layers.folder(Path(folder), "/valohai/code"))


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_order_time_and_mask_change_nothing(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))
    assert packed(files) == packed(backwards, mode=0o666, at=1_700_000_000)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_what_went_in_comes_out(files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(files))) as tar:
        found = {
            member.name.removeprefix("valohai/code/"): _body(tar, member)
            for member in tar
            if member.isfile()
        }
    assert found == files


@settings(max_examples=60, deadline=None)
@given(TREES.filter(bool), st.data())
def test_one_changed_byte_gives_another_layer(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    changed = files | {name: files[name] + b"x"}
    assert packed(files) != packed(changed)


def _body(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another time zone, another mask, another folder order."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    before = os.umask(0o077)
    real = os.scandir

    def backwards(path: str) -> object:
        return _Backwards(real(path))

    monkeypatch.setattr("services.builder.layers.os.scandir", backwards)
    yield
    os.umask(before)
    monkeypatch.undo()
    time.tzset()


class _Backwards:
    def __init__(self, found: object) -> None:
        self._found = found

    def __enter__(self) -> Iterator[object]:
        with self._found as entries:  # type: ignore[attr-defined]
            return iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __exit__(self, *_: object) -> None:
        pass


FILES = {"b.py": b"b", "a/x.py": b"x", "a.py": b"a", "ä.py": b"umlaut", "a/" * 60 + "deep": b"d"}
DIGEST = "c8872ff1266a43ef"


def test_place_and_mask_change_nothing(elsewhere: None) -> None:
    there = packed(FILES)
    with tarfile.open(fileobj=io.BytesIO(there)) as tar:
        members = tar.getmembers()
    assert {member.mode for member in members if member.isfile()} == {0o644}
    assert {member.mode for member in members if member.isdir()} == {0o755}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
    assert hashlib.sha256(there).hexdigest()[:16] == DIGEST


def test_a_layer_is_the_same_with_every_release_of_ours() -> None:
    assert hashlib.sha256(packed(FILES)).hexdigest()[:16] == DIGEST


def test_programs_stay_programs_and_links_stay_links(tmp_path: Path) -> None:
    write(tmp_path, {"run.sh": b"#!/bin/sh\n"}, mode=0o4711)
    (tmp_path / "link").symlink_to("run.sh")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with tarfile.open(fileobj=io.BytesIO(b"".join(layers.folder(tmp_path, "/c")))) as tar:
        found = {member.name: member for member in tar}
    assert found["c/run.sh"].mode == 0o755
    assert found["c/link"].linkname == "run.sh"
    assert found["c/empty"].isdir()
    assert "c/pipe" not in found


def test_names_that_are_no_text_are_kept_as_they_are(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))).write_bytes(b"x")
    body = b"".join(layers.folder(tmp_path, "/c"))
    assert b"c/\xff\xfe\0" in body


def test_a_file_that_shrinks_while_it_is_read_breaks_no_layer(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345678")
    chunks = layers._content(str(path), 20)
    assert len(b"".join(chunks)) == 20


async def test_large_files_are_streamed_as_small_ones_are_packed(
    tmp_path: Path, blobs: Blobs
) -> None:
    body = os.urandom(3_000_001)
    write(tmp_path, {"m/a.bin": body, "b.bin": b""})
    streamed = layers.streams(
        {
            "/c/m/a.bin": (len(body), blobs.stream((await blobs.put_bytes(body)).digest)),
            "/c/b.bin": (0, blobs.stream((await blobs.put_bytes(b"")).digest)),
        }
    )
    found = b"".join([chunk async for chunk in streamed])
    with tarfile.open(fileobj=io.BytesIO(found)) as tar:
        assert tar.getnames() == ["c", "c/m", "c/b.bin", "c/m/a.bin"]
        assert _body(tar, tar.getmember("c/m/a.bin")) == body


async def test_a_layer_is_never_whole_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(40 << 20)
    sizes = [len(c) async for c in layers.threaded(layers.folder(tmp_path, "/c"))]
    assert sum(sizes) > 40 << 20
    assert max(sizes) <= 3 << 20


def test_modes_are_those_of_the_owner(tmp_path: Path) -> None:
    write(tmp_path, {"x": b""}, mode=stat.S_IXGRP | 0o644)
    with tarfile.open(fileobj=io.BytesIO(b"".join(layers.folder(tmp_path, "/c")))) as tar:
        assert tar.getmember("c/x").mode == 0o644


def test_a_layer_that_has_an_owner_leaves_the_folders_at_the_top_to_root(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    body = b"".join(layers.folder(tmp_path, "/opt/ml/models", owner=1000))
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        owners = {member.name: (member.uid, member.gid) for member in tar}
    assert owners == {
        "opt": (0, 0),
        "opt/ml": (1000, 1000),
        "opt/ml/models": (1000, 1000),
        "opt/ml/models/a": (1000, 1000),
    }
