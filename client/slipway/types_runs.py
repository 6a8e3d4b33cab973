"""What the platform answers of batch jobs."""

from __future__ import annotations

from datetime import datetime

from slipway.types import Struct


class SeriesJob(Struct, frozen=True, kw_only=True):
    id: str
    place: int = 0  # in the array
    state: str
    reason: str = ""
    attempt: int = 1
    exit_code: int | None = None  # of the last try that has ended


class Series(Struct, frozen=True, kw_only=True):
    """The jobs that were made at once: one, or an array of them."""

    id: str
    owner: str
    project: str
    name: str
    deployment: str | None = None
    version_name: str = ""
    endpoint: str = ""
    target: str = ""
    command: list[str]
    created_at: datetime
    counts: dict[str, int]  # state -> jobs
    jobs: list[SeriesJob]
    notes: list[str]

    @property
    def finished(self) -> bool:
        """Whether all of them did what they were to."""
        return self.counts.keys() == {"finished"}
