"""Brings a version's source from the blob store into a folder."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path

from shared.blobs import Blobs
from shared.errors import Invalid, Transient, translate


async def unpack(blobs: Blobs, digest: str, into: Path) -> None:
    """Raises Invalid for a source that is no safe archive, Permanent when its blob is gone."""
    packed = into.with_suffix(".tar")
    with translate({OSError: Transient}):
        with packed.open("wb") as file:
            async for chunk in blobs.stream(digest):
                file.write(chunk)
        try:
            await asyncio.to_thread(_extract, packed, into)
        finally:
            packed.unlink()


def _extract(packed: Path, into: Path) -> None:
    try:
        with tarfile.open(packed) as tar:
            tar.extractall(into, filter="data")
    except tarfile.TarError as error:
        raise Invalid("source", "is not a readable tar archive") from error
