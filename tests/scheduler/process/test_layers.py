"""Layers become folders, and never write anywhere else."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.process.layers import KEPT, Layers, extract, note, prune
from shared.blobs import Blobs
from shared.errors import Permanent
from tests.scheduler.images import layer
from tests.scheduler.targets import Target, get


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    path = folder / "layer.tar"
    path.write_bytes(content.getvalue())
    return path


def member(
    name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_files_folders_and_links_are_as_they_were(tmp_path: Path, into: Path) -> None:
    extract(
        archive(
            tmp_path,
            member("a/", tarfile.DIRTYPE, mode=0o555),
            member("a/run", mode=0o4755),
            member("a/again", tarfile.LNKTYPE, "a/run"),
            member("b/link", tarfile.SYMTYPE, "/etc/passwd"),
        ),
        into,
    )
    assert (into / "a/run").stat().st_mode & 0o7777 == 0o755
    assert (into / "a/again").samefile(into / "a/run")
    assert (into / "b/link").readlink() == Path("/etc/passwd")


@pytest.mark.parametrize(
    "members",
    [
        [member("../x")],
        [member("a/../../x")],
        [member("out", tarfile.SYMTYPE, "/tmp"), member("out/x")],
        [member("out", tarfile.SYMTYPE, ".."), member("out/x")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("device", tarfile.CHRTYPE)],
        [member("hard", tarfile.LNKTYPE, "../layer.tar")],
    ],
)
def test_what_leaves_the_image_or_is_no_file_is_refused(
    tmp_path: Path, into: Path, members: list[tarfile.TarInfo]
) -> None:
    with pytest.raises(Permanent):
        extract(archive(tmp_path, *members), into)
    assert {path.name for path in tmp_path.iterdir()} == {"into", "layer.tar"}


def test_a_later_layer_replaces_a_file_and_not_what_it_points_at(
    tmp_path: Path, into: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (into / "file").symlink_to(outside)
    extract(archive(tmp_path, member("file")), into)
    assert outside.read_text() == "safe"
    assert (into / "file").read_text() == "x"


async def test_a_shared_layer_is_unpacked_once_however_many_want_it(tmp_path: Path) -> None:
    for name in ("layers", "parts"):
        (tmp_path / name).mkdir()
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    layers = Layers(tmp_path, blobs)
    digest = (await blobs.put_bytes(layer({"/slipway/python/x": "1"}))).digest
    folders = await asyncio.gather(*(layers.shared(digest) for _ in range(5)))
    assert len(set(folders)) == 1
    assert (folders[0] / "slipway/python/x").read_text() == "1"
    assert list((tmp_path / "parts").iterdir()) == []


async def test_a_damaged_layer_leaves_nothing(tmp_path: Path) -> None:
    for name in ("layers", "parts"):
        (tmp_path / name).mkdir()
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    digest = (await blobs.put_bytes(layer({"/slipway/python/x": "1"}))).digest
    (file,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    file.write_bytes(layer({"/slipway/python/x": "2"}))
    with pytest.raises(Permanent):
        await Layers(tmp_path, blobs).shared(digest)
    assert list((tmp_path / "layers").iterdir()) == []
    assert list((tmp_path / "parts").iterdir()) == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in ("layers", "replicas", "parts"):
        (home / name).mkdir(parents=True)
    return home


def replica(home: Path, name: str, *layers: str) -> Path:
    folder = home / "replicas" / name
    folder.mkdir()
    (folder / "spec.json").touch()
    note(folder, [home / "layers" / layer for layer in layers])
    return folder


def unpacked(home: Path, name: str, age: float = KEPT + 60) -> Path:
    folder = home / "layers" / name
    (folder / "deep").mkdir(parents=True)
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def test_what_no_replica_has_and_nobody_asked_for_in_a_day_is_thrown_away(home: Path) -> None:
    unpacked(home, "had")
    unpacked(home, "young", age=KEPT - 60)
    unpacked(home, "old")
    replica(home, "j1.1", "had")
    (home / "replicas" / "j2.1").mkdir()  # stopped: its mark alone is there
    prune(home)
    assert sorted(os.listdir(home / "layers")) == ["had", "young"]
    assert os.listdir(home / "parts") == []


def test_nothing_is_while_a_replica_is_there_that_does_not_say_what_it_has(home: Path) -> None:
    unpacked(home, "old")
    told = replica(home, "j1.1") / "layers"
    told.write_bytes(b"")
    prune(home)
    told.unlink()
    prune(home)
    assert os.listdir(home / "layers") == ["old"]


async def test_what_a_replica_has_stays_until_it_is_stopped(on: Target, tmp_path: Path) -> None:
    work = await on.serving()
    address = await on.started(work)
    await on.until(work.replica, Phase.READY)
    said, kept = await get(address), list((tmp_path / "layers").iterdir())
    assert said
    assert kept
    for each in kept:
        os.utime(each, (0, 0))
    prune(tmp_path)
    assert list((tmp_path / "layers").iterdir()) == kept
    assert await get(address) == said
    await on.driver.stop(work.replica, grace=1.0)
    prune(tmp_path)
    assert os.listdir(tmp_path / "layers") == []


async def test_who_asks_for_one_keeps_it_and_makes_it_anew_when_it_is_gone(
    home: Path, tmp_path: Path
) -> None:
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    digest = (await blobs.put_bytes(layer({"/a": "x"}))).digest
    layers = Layers(home, blobs)
    made = await layers.shared(digest)
    os.utime(made, (0, 0))
    assert await layers.shared(digest) == made
    prune(home)
    assert (made / "a").read_text() == "x"
    os.utime(made, (0, 0))
    prune(home)
    assert not made.exists()
    assert (await layers.shared(digest) / "a").read_text() == "x"
