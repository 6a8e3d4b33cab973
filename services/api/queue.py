"""A target's queue, as the scheduler sees it: who comes first, and what owners have."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import msgspec

from services.api import refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.explain.waiting import STRANGER
from services.api.gpus import GPU_TYPES
from services.api.paging import rows_of
from services.api.quotas import QUOTAS
from services.api.scheduling import named
from services.api.token import Identity
from services.api.types import GpuType
from services.api.types_scheduling import InQueue, Queue, QueueQuery, Quota, Share
from shared.database.sqlfile import sql
from shared.waits import Waits

QUEUE_FIRST = sql(__package__, "queue_first")
QUEUE_OWNERS = sql(__package__, "queue_owners")

MOST = 1000  # quotas of a target


async def show(call: Call[QueueQuery, None]) -> Answer:
    target, only = call.path["target"], call.who.only
    if target not in call.context.targets:
        raise refused.missing("target")
    async with (
        call.database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        types = await connection.fetch(GPU_TYPES, target, False)
        first = await connection.fetch(QUEUE_FIRST, target, call.query.limit)
        owners = await connection.fetch(QUEUE_OWNERS, target, only)
        quotas = await connection.fetch(QUOTAS, only, target, None, None, None, None, MOST)
    gpus = list(map(rows_of(GpuType), types))
    there = {gpu.type: gpu.total for gpu in gpus}
    written = list(map(rows_of(Quota), quotas))
    return Answer(
        Queue(
            target=target,
            gpus=gpus,
            first=[_entry(row, call.who) for row in first],
            owners=[_share(row, there, written) for row in owners],
        )
    )


def _entry(row: asyncpg.Record, who: Identity) -> InQueue:
    """A row of queue_first.sql as people see it."""
    waits, seen = msgspec.convert(row["waits"], Waits), who.sees(row["owner"])
    return InQueue(
        job=row["job"] if seen else None,
        name=row["name"] if seen else STRANGER,
        owner=row["owner"] if seen else None,
        priority=named(row["priority"]),
        preemptible=row["preemptible"],
        gang=row["gang"],
        gpu_types=row["types"],
        gpu_count=row["count"],
        copies=row["copies"],
        queued_at=row["queued_at"],
        cause=waits.cause,
        ahead=waits.ahead,
        starts_in=waits.starts_in,
    )


def _share(row: asyncpg.Record, there: Mapping[str, int], quotas: list[Quota]) -> Share:
    held, weight = row["held"], row["weight"]
    parts = [count / there[kind] for kind, count in held.items() if there.get(kind)]
    return Share(
        owner=row["owner"],
        weight=weight,
        held=held,
        share=max(parts, default=0.0) / weight,
        waiting=row["waiting"],
        quotas=[quota for quota in quotas if quota.owner == row["owner"]],
    )
