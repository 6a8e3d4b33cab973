"""What the API takes and gives of batch jobs: commands of a version that run to an end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.api.types import Ask, EndpointName, Give, SchedulingOptions
from shared.endpoint import Variables
from shared.lifecycle import State

MOST: Final = 1_000  # jobs of one series
Line = Annotated[str, Meta(min_length=1, max_length=10_000)]
GpuTypeName = Annotated[str, Meta(min_length=1, max_length=63)]
Text = Annotated[str, Meta(min_length=1, max_length=100_000)]


class RunGpus(Ask, frozen=True, kw_only=True):
    """In place of what the endpoint asks for."""

    types: Annotated[tuple[GpuTypeName, ...], Meta(max_length=50)] = ()
    """In order of preference; empty: any."""
    count: Annotated[int, Meta(ge=0, le=10_000)] = 1
    max_price: Annotated[float, Meta(ge=0)] | None = None  # per GPU and hour


class NewRun(Ask, frozen=True, kw_only=True):
    """A command that runs once in the image of a version's endpoint, or as an array of jobs."""

    command: Text | Annotated[list[Line], Meta(min_length=1, max_length=1_000)]
    endpoint: str = ""  # whose image; may be left out where the version has one
    name: EndpointName | None = None  # of the job; those of an array have /0, /1 … behind it
    gpus: RunGpus | None = None  # left out: as the endpoint has them
    array: Annotated[int, Meta(ge=1, le=MOST, description="how many jobs, 1 to 1000")] = 1
    retries: Annotated[int, Meta(ge=0, le=10, description="more tries, 0 to 10")] = 0
    timeout: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None  # seconds of each try
    variables: Variables = msgspec.field(default_factory=dict)
    scheduling: SchedulingOptions = SchedulingOptions()


class SeriesJob(Give, frozen=True, kw_only=True):
    id: str
    place: int  # in the array, from 0
    state: State
    reason: str
    attempt: int
    exit_code: int | None  # of the last try, where that has ended by itself


class Series(Give, frozen=True, kw_only=True):
    """The jobs that were made at once, one or an array of them."""

    id: str
    owner: str
    project: str
    name: str
    deployment: str | None
    version_name: str
    endpoint: str
    target: str
    command: list[str]
    created_at: datetime
    counts: dict[str, int]  # state -> jobs
    jobs: list[SeriesJob]
    notes: list[str]  # what its owner should know
