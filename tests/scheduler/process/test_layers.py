"""Layers become folders, and never write anywhere else."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from services.scheduler.drivers.process.layers import Layers, extract
from shared.blobs import Blobs
from shared.errors import Permanent
from tests.scheduler.images import layer


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
