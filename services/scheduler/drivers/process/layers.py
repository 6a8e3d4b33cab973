"""Image layers as folders on this machine: unpacked once for all, or fresh for one replica.

A replica's folder says which of those that are for all it has, so that they can be thrown away when
none has them any more.
"""

from __future__ import annotations

import asyncio
import os
import tarfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from services.scheduler.drivers.process import rubbish
from shared.blobs import Blobs
from shared.errors import Permanent, translate
from shared.image import LAYER_ROLE, Descriptor

SHARED = frozenset(("python", "runtime"))
HAS: Final = "layers"  # in a replica's folder: a JSON list of their folders' names
KEPT: Final = 86_400.0  # seconds since somebody asked for it last: as long as of its blob


def is_shared(layer: Descriptor) -> bool:
    """Read-only at run time, so that one copy serves every replica on this machine."""
    return layer.annotations.get(LAYER_ROLE) in SHARED


class Layers:
    def __init__(self, home: Path, blobs: Blobs) -> None:
        self._kept = home / "layers"
        self._home = home
        self._blobs = blobs
        self._busy: dict[str, asyncio.Lock] = {}

    async def shared(self, digest: str) -> Path:
        """The folder of an unpacked layer that nobody writes to. It is whole or not there."""
        folder = self._kept / digest.removeprefix("sha256:")
        async with self._busy.setdefault(digest, asyncio.Lock()):
            if not _asked(folder):
                with rubbish.part(self._home) as part:
                    await self.unpack(digest, part)
                    try:
                        part.rename(folder)
                    except OSError:  # another process was faster; what it made is the same
                        if not folder.exists():
                            raise
        return folder

    async def unpack(self, digest: str, into: Path) -> None:
        """Lay a layer over the folder `into`. Raises Permanent when it is missing or damaged."""
        with rubbish.part(self._home) as part, translate({tarfile.TarError: Permanent}):
            archive = part / "layer.tar"
            with archive.open("wb") as file:
                async for chunk in self._blobs.stream(digest):
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(extract, archive, into)


def note(replica: Path, layers: Sequence[Path]) -> None:
    """Write down in a replica's folder which it has, before it is moved to its place."""
    (replica / HAS).write_bytes(msgspec.json.encode([layer.name for layer in layers]))


def prune(home: Path) -> None:
    """Throw away what no replica has, and nobody asked for in KEPT seconds.

    Nothing, while a replica is there that doesn't say what it has, as those of earlier releases
    don't. What somebody asks for at that very moment is unpacked anew when its start is tried
    again.
    """
    had: set[str] = set()
    for replica in (home / "replicas").iterdir():
        if (replica / "spec.json").exists():  # else its mark alone is there
            try:
                had.update(msgspec.json.decode((replica / HAS).read_bytes(), type=list[str]))
            except (FileNotFoundError, msgspec.DecodeError):
                return
    for layer in (home / "layers").iterdir():
        with suppress(FileNotFoundError):  # another process was faster
            if layer.name not in had and time.time() - layer.stat().st_mtime > KEPT:
                rubbish.throw_away(home, layer)


def _asked(folder: Path) -> bool:
    """Note that somebody asks for it now. False when it is not there."""
    with suppress(FileNotFoundError):
        os.utime(folder)
        return True
    return False


def extract(archive: Path, into: Path) -> None:
    """Unpack a plain tar of files, folders and links; nothing is written through a link.

    Raises Permanent for anything else: no builder of ours makes it.
    """
    sound: set[Path] = {into}
    with tarfile.open(archive, "r:") as content:
        for member in content:
            target = _inside(into, member.name, sound)
            if member.isdir():
                target.mkdir(exist_ok=True)
                target.chmod(member.mode & 0o777 | 0o700)
                continue
            if target.is_symlink() or target.exists():
                target.unlink()  # a later layer's file replaces an earlier one's
            if member.isfile():
                _write(content, member, target)
            elif member.issym():
                target.symlink_to(member.linkname)
            elif member.islnk():
                os.link(_inside(into, member.linkname, sound), target, follow_symlinks=False)
            else:
                raise Permanent(f"layer entry {member.name!r} is of a kind that is not allowed")


def _write(content: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = content.extractfile(member)
    assert source is not None
    with source, target.open("wb") as file:
        while chunk := source.read(1 << 20):
            file.write(chunk)
    target.chmod(member.mode & 0o777)


def _inside(root: Path, name: str, sound: set[Path]) -> Path:
    """The place of `name` below `root`, whose parents are real folders."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Permanent(f"layer entry {name!r} leaves the image")
    folder = root
    for part in parts[:-1]:
        folder = folder / part
        if folder not in sound:
            if folder.is_symlink():
                raise Permanent(f"layer entry {name!r} is below a link")
            folder.mkdir(exist_ok=True)
            sound.add(folder)
    return folder / parts[-1] if parts else root
