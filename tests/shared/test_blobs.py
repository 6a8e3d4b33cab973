"""A blob is whole or it is not there, and is what its name says or an error."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from shared.blobs import CHUNK, Blob, Blobs, Kept, TooLarge, _remove, digest_of
from shared.errors import Invalid, Permanent, Transient

CONTENT = b"some content"
DIGEST = digest_of(CONTENT)

WRITER = """
import asyncio, sys
from shared.blobs import Blobs

async def endless():
    while True:
        yield b"x" * (1 << 20)
        print("wrote", flush=True)

asyncio.run(Blobs.open(sys.argv[1]).put(endless()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(folder: Path) -> Blobs:
    return Blobs.open(f"file:{folder}")


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_is_put_is_read_again(blobs: Blobs) -> None:
    blob = await blobs.put(stream(b"some", b"", b" content"))
    assert blob == Blob(digest=DIGEST, size=len(CONTENT))
    assert await blobs.read(DIGEST) == CONTENT
    assert await blobs.size(DIGEST) == len(CONTENT)
    assert b"".join([chunk async for chunk in blobs.stream(DIGEST)]) == CONTENT


async def test_nothing_is_a_blob_too(blobs: Blobs) -> None:
    assert (await blobs.put(stream())).size == 0
    assert await blobs.read(digest_of(b"")) == b""


async def test_putting_the_same_again_keeps_one(blobs: Blobs, folder: Path) -> None:
    await asyncio.gather(
        *(blobs.put(stream(CONTENT)) for _ in range(4)),
        *(blobs.put_bytes(CONTENT) for _ in range(4)),
    )
    assert len(stored(folder)) == 1


async def test_a_large_one_passes_in_pieces(blobs: Blobs) -> None:
    pieces = [bytes([n]) * CHUNK for n in range(9)]
    blob = await blobs.put(stream(*pieces))
    assert [len(chunk) <= 4 * CHUNK async for chunk in blobs.stream(blob.digest)]
    assert b"".join([chunk async for chunk in blobs.stream(blob.digest)]) == b"".join(pieces)


async def test_too_large_is_refused_and_nothing_is_kept(blobs: Blobs, folder: Path) -> None:
    with pytest.raises(TooLarge, match="larger than the 10 bytes"):
        await blobs.put(stream(b"x" * 8, b"x" * 8), limit=10)
    assert stored(folder) == []
    assert (await blobs.put(stream(b"x" * 10), limit=10)).size == 10


async def test_reading_what_is_too_large_for_memory_is_refused(blobs: Blobs) -> None:
    blob = await blobs.put_bytes(b"x" * 11)
    with pytest.raises(TooLarge):
        await blobs.read(blob.digest, limit=10)


async def test_a_stream_that_breaks_off_leaves_nothing(blobs: Blobs, folder: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield CONTENT
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await blobs.put(breaks())
    assert stored(folder) == []


async def test_a_put_that_is_cancelled_leaves_nothing(blobs: Blobs, folder: Path) -> None:
    begun = asyncio.Event()

    async def hangs() -> AsyncIterator[bytes]:
        yield CONTENT
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(blobs.put(hangs()))
    await begun.wait()
    putting.cancel()
    await asyncio.wait([putting])
    assert stored(folder) == []


async def test_a_writer_that_is_killed_leaves_no_half_blob(blobs: Blobs, folder: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, f"file:{folder}", stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(8):  # so that some of it is on the disk
        await writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    await writer.wait()
    assert {path.parent.name for path in stored(folder)} <= {"incoming"}
    assert await blobs.size(DIGEST) is None
    await blobs.put(stream(CONTENT))
    assert await blobs.read(DIGEST) == CONTENT


async def test_what_is_not_there_is_permanent(blobs: Blobs) -> None:
    assert await blobs.size(DIGEST) is None
    with pytest.raises(Permanent):
        await blobs.read(DIGEST)


async def test_a_store_that_is_away_is_no_missing_blob(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise obstore.exceptions.GenericError("503 Slow Down")

    monkeypatch.setattr(obstore, "head_async", away)
    with pytest.raises(Transient):
        await blobs.size(DIGEST)


async def test_what_is_not_what_its_name_says_is_an_error(blobs: Blobs, folder: Path) -> None:
    await blobs.put_bytes(CONTENT)
    [file] = stored(folder)
    file.write_bytes(b"other content")
    with pytest.raises(Permanent, match="damaged"):
        await blobs.read(DIGEST)


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "A" * 64, "sha256:../../etc/passwd", "md5:" + "0" * 64]
)
async def test_a_digest_that_is_none_is_refused(blobs: Blobs, digest: str) -> None:
    with pytest.raises(Invalid) as caught:
        await blobs.size(digest)
    assert caught.value.field == "digest"


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def age(folder: Path) -> None:
    for path in stored(folder):
        os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))


async def test_all_that_is_kept_is_listed_with_its_age(blobs: Blobs, folder: Path) -> None:
    await blobs.put_bytes(CONTENT)
    await blobs.put(stream(b"other"))
    age(folder)
    (folder / "sha256" / "note").write_text("not ours")
    found = [kept async for kept in blobs.kept()]
    assert sorted(found, key=lambda kept: kept.size) == [
        Kept(digest=digest_of(b"other"), size=5, at=LONG_AGO),
        Kept(digest=DIGEST, size=len(CONTENT), at=LONG_AGO),
    ]


async def test_only_what_is_old_is_removed(blobs: Blobs, folder: Path) -> None:
    await blobs.put_bytes(CONTENT)
    assert not await blobs.remove(DIGEST, datetime.now(UTC) - timedelta(days=1))
    assert await blobs.read(DIGEST) == CONTENT
    age(folder)
    assert await blobs.remove(DIGEST, datetime.now(UTC) - timedelta(days=1))
    assert not await blobs.remove(DIGEST, datetime.now(UTC))
    assert stored(folder) == []


async def test_what_is_put_again_is_fresh(blobs: Blobs, folder: Path) -> None:
    await blobs.put_bytes(CONTENT)
    for streamed in (False, True):
        age(folder)
        await (blobs.put(stream(CONTENT)) if streamed else blobs.put_bytes(CONTENT))
        assert not await blobs.remove(DIGEST, datetime.now(UTC) - timedelta(days=1))


async def test_puts_and_removals_at_once_lose_no_fresh_blob(blobs: Blobs, folder: Path) -> None:
    for _ in range(50):
        await blobs.put_bytes(CONTENT)
        age(folder)
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        await asyncio.gather(
            blobs.remove(DIGEST, hour_ago),
            blobs.put(stream(CONTENT)),
            blobs.remove(DIGEST, hour_ago),
        )
        assert await blobs.read(DIGEST) == CONTENT
    assert not list((folder / "incoming").iterdir())


async def test_a_removal_that_took_a_fresh_blob_puts_it_back(folder: Path, blobs: Blobs) -> None:
    await blobs.put_bytes(CONTENT)
    key = f"sha256/{DIGEST[7:9]}/{DIGEST[7:]}"
    assert not _remove(folder, key, datetime.now(UTC) - timedelta(hours=1))
    assert await blobs.read(DIGEST) == CONTENT


async def test_strays_of_puts_that_were_cut_short_are_swept(blobs: Blobs, folder: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, f"file:{folder}"), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(12):
        await writer.stdout.readline()
    writer.kill()
    await writer.communicate()
    await blobs.put_bytes(CONTENT)
    assert len(stored(folder)) == 2
    assert await blobs.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    age(folder)
    assert await blobs.sweep(datetime.now(UTC) - timedelta(hours=1)) == 1
    assert await blobs.read(DIGEST) == CONTENT


async def test_a_store_without_a_folder_is_collected_too() -> None:
    blobs = Blobs.open("memory:///")
    await blobs.put_bytes(CONTENT)
    assert [kept.digest async for kept in blobs.kept()] == [DIGEST]
    later = datetime.now(UTC) + timedelta(hours=1)
    assert not await blobs.remove(DIGEST, LONG_AGO)
    assert await blobs.remove(DIGEST, later)
    assert await blobs.sweep(later) == 0
    assert await blobs.size(DIGEST) is None


async def test_a_blob_that_lost_its_end_is_put_again(tmp_path: Path) -> None:
    """As the machine may leave it that lost power."""
    blobs = Blobs.open(f"file:{tmp_path}")
    blob = await blobs.put_bytes(b"content")
    [path] = [path for path in (tmp_path / "sha256").rglob("*") if path.is_file()]
    path.write_bytes(b"con")
    assert await blobs.put_bytes(b"content") == blob
    assert await blobs.read(blob.digest) == b"content"


async def pieces() -> AsyncIterator[bytes]:
    yield CONTENT


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("at", [0, 1])
async def test_C03_what_the_disk_did_not_take_is_not_kept(
    blobs: Blobs, folder: Path, monkeypatch: pytest.MonkeyPatch, error: int, at: int
) -> None:
    fsync, files = os.fsync, list[int]()

    def fails(file: int) -> None:
        files.append(stat.S_IFMT(os.fstat(file).st_mode))
        if len(files) > at:  # its content, or the folder that has its name
            raise OSError(error, os.strerror(error))
        fsync(file)

    monkeypatch.setattr(os, "fsync", fails)
    for put in (blobs.put(pieces()), blobs.put_bytes(CONTENT)):
        files.clear()
        with pytest.raises(Transient):
            await put
        assert files == [stat.S_IFREG, stat.S_IFDIR][: at + 1]
        if at == 0:
            assert await blobs.size(DIGEST) is None
        await blobs.remove(DIGEST, datetime.now(UTC) + timedelta(hours=1))
    assert list((folder / "incoming").iterdir()) == []


async def test_C03_what_was_put_is_on_the_disk_with_the_folders_that_name_it(
    blobs: Blobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[int]()
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    for put in (blobs.put(pieces()), blobs.put_bytes(b"other")):
        synced.clear()
        kept = folder / "sha256" / (digest := (await put).digest)[7:9] / digest[7:]
        inodes = [each.stat().st_ino for each in (kept, *kept.parents[:3])]
        assert synced == inodes
    synced.clear()
    await blobs.put_bytes(b"other")  # who has put it may have been cut short before that
    assert synced == inodes[1:]
