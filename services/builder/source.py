"""A version's source: brought from the blob store into a folder, once, when somebody needs it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from services.builder.stages import Stages, Write
from shared import archive
from shared.blobs import Blobs
from shared.errors import Transient, translate


class Source:
    """`folder` is the build's own."""

    def __init__(
        self, blobs: Blobs, digest: str, folder: Path, write: Write, stages: Stages
    ) -> None:
        self._blobs = blobs
        self._digest = digest
        self._folder = folder
        self._write = write
        self._stages = stages
        self._unpacked: Path | None = None

    async def unpacked(self) -> Path:
        """As it was sent; nobody writes to it.

        Raises Invalid for a source that is no safe archive, Permanent when its blob is gone.
        """
        if self._unpacked is None:
            self._write("unpacking the source", "platform")
            into = self._folder / "source"
            async with self._stages.stage("source"):
                await unpack(self._blobs, self._digest, into)
            self._unpacked = into
        return self._unpacked

    async def copied(self) -> Path:
        """A copy in which an installation may do as it likes."""
        copy = self._folder / "installing"
        with translate({OSError: Transient, shutil.Error: Transient}):
            await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
            await asyncio.to_thread(shutil.copytree, await self.unpacked(), copy, symlinks=True)
        return copy


async def unpack(blobs: Blobs, digest: str, into: Path) -> None:
    packed = into.with_suffix(".packed")
    with translate({OSError: Transient}):
        with packed.open("wb") as file:
            async for chunk in blobs.stream(digest):
                file.write(chunk)
        try:
            await asyncio.to_thread(archive.extract, packed, into)
        finally:
            packed.unlink()
