"""The part of the builder that fetches sources, wired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.builder.git.fetch import Fetcher, Limits
from services.builder.git.fetching import Fetching
from shared.events import SourceSubmitted
from shared.git import Trusted
from shared.run import Loop
from shared.service import Floor


def loops(
    floor: Floor, folder: Path, *, private_hosts: str, limit: int, timeout: float
) -> Sequence[Loop]:
    """`folder` is the running builder's own, for scratch."""
    fetcher = Fetcher(
        blobs=floor.blobs,
        trusted=Trusted.read(private_hosts),
        limits=Limits(size=limit, seconds=int(timeout)),
    )
    fetching = Fetching(floor.database, fetcher.fetch, folder)
    hear = floor.bus.subscribe("sources", [SourceSubmitted.type], fetching.on_source_submitted)
    return [fetching.loop, hear]
