"""Why a job is as it is: what is read for that, and which part of services/api/explain says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from services.api import refused, scheduling
from services.api.answer import Answer
from services.api.call import Call
from services.api.explain import begun, built, ended, growing, waiting
from services.api.explain.facts import Builds, Facts, First, Holder, Lines, Queued
from services.api.gpus import GPU_TYPES
from services.api.logs import LOGS_BEFORE
from services.api.paging import rows_of
from services.api.types import GpuType, LogLine, NoQuery
from services.api.types_why import WhyAnswer
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.lifecycle import State

WHY_JOB = sql(__package__, "why_job")
WHY_AHEAD = sql(__package__, "why_ahead")
WHY_OWN = sql(__package__, "why_own")
WHY_WAITED = sql(__package__, "why_waited")
WHY_HOLDERS = sql(__package__, "why_holders")
WHY_BUILDS = sql(__package__, "why_builds")

LINES: Final = 10  # of a log
HOLDERS: Final = 50  # that are looked at
LATE: Final = 1000  # jobs that were given GPUs before
T = TypeVar("T")
DEEP: Final = 10_000  # of its owner's, beyond which nobody counts


async def show(call: Call[NoQuery, None]) -> Answer:
    """All is read at one moment."""
    async with (
        call.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(WHY_JOB, call.path["job"], call.who.only)
        if row is None:
            raise refused.missing("job")
        return Answer(await _answer(connection, msgspec.convert(dict(row), Facts), call))


async def _answer(connection: Connection, facts: Facts, call: Call[Any, Any]) -> WhyAnswer:
    match facts.state:
        case State.SUBMITTED | State.BUILDING:
            builds = await _rows(connection, Builds, WHY_BUILDS, facts.version)
            return built.building(facts, builds, await _lines(connection, facts.version))
        case State.QUEUED:
            return waiting.queued(facts, await _queued(connection, facts), call.who.sees)
        case State.STARTING:
            return begun.starting(facts, await _lines(connection, facts.job, facts.attempt))
        case State.RUNNING if _grows(facts):
            return growing.growing(facts, await _queued(connection, facts), call.who.sees)
        case State.RUNNING:
            lines = await _lines(connection, facts.job, facts.attempt) if facts.reason else ()
            return begun.running(facts, lines)
        case State.FAILED:
            lines = await _lines(connection, facts.job)
            if not lines and facts.version_state == "failed":
                lines = await _lines(connection, facts.version)
            return ended.ended(facts, lines)
        case _:
            return ended.ended(facts, ())


def _grows(facts: Facts) -> bool:
    """It waits for more copies, and nothing is more urgent."""
    waits = facts.granted < facts.copies and facts.running > 0
    return waits and facts.waits.cause is not None and facts.gives_way_in is None


async def _queued(connection: Connection, facts: Facts) -> Queued:
    if facts.count == 0:
        return Queued(waits=facts.waits)
    waits, behind, first = facts.waits, None, tuple(facts.waits.first)
    if waits.cause is None and facts.state is State.QUEUED:
        row = await connection.fetchrow(WHY_OWN, facts.job, DEEP)
        assert row is not None
        behind, first = row["ahead"], (row["first"],) if row["ahead"] else ()
    types = [kind for kind in facts.types if kind in waits.there] or facts.types
    holding = (facts.target, types, facts.owner, HOLDERS, facts.job)
    late = await connection.fetch(WHY_WAITED, facts.target, facts.types, LATE)
    return Queued(
        waits=waits,
        behind=behind,
        first=await _first(connection, first),
        holders=await _rows(connection, Holder, WHY_HOLDERS, *holding),
        stock=await _rows(connection, GpuType, GPU_TYPES, facts.target, False),
        waited=tuple(row["waited"] for row in late),
        span=late[-1]["ago"] if late else 0.0,
        highest=await scheduling.highest(connection, facts.owner),
    )


async def _first(connection: Connection, jobs: Sequence[str]) -> tuple[First, ...]:
    found = await _rows(connection, First, WHY_AHEAD, list(jobs)) if jobs else ()
    return tuple(sorted(found, key=lambda each: jobs.index(each.job)))


async def _lines(connection: Connection, subject: str, attempt: int | None = None) -> Lines:
    """The last ones, of this attempt alone if one is named, oldest first."""
    rows = await connection.fetch(LOGS_BEFORE, subject, None, None, LINES)
    lines = [msgspec.convert(dict(row), LogLine) for row in reversed(rows)]
    return tuple(line for line in lines if attempt is None or line.attempt == attempt)


async def _rows(connection: Connection, kind: type[T], query: str, *values: Any) -> tuple[T, ...]:
    rows = await connection.fetch(query, *values)
    return tuple(map(rows_of(kind), rows))
