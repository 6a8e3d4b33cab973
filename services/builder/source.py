"""Brings a version's source from the blob store into a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared import archive
from shared.blobs import Blobs
from shared.errors import Transient, translate


async def unpack(blobs: Blobs, digest: str, into: Path) -> None:
    """Raises Invalid for a source that is no safe archive, Permanent when its blob is gone."""
    packed = into.with_suffix(".packed")
    with translate({OSError: Transient}):
        with packed.open("wb") as file:
            async for chunk in blobs.stream(digest):
                file.write(chunk)
        try:
            await asyncio.to_thread(archive.extract, packed, into)
        finally:
            packed.unlink()
