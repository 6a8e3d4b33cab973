"""One look at a target's queue: the rows of who waits, of GPUs and of who holds them, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import asyncpg
import msgspec

from services.scheduler.depth import Head
from services.scheduler.driver import Replica
from services.scheduler.queue.values import Holder, Slot, Waiting
from shared.ids import JobId
from shared.waits import Waits

NOTHING = Waits()


def waiting(rows: Iterable[asyncpg.Record]) -> list[Waiting]:
    return [
        Waiting(
            job=row["job"],
            attempt=row["attempt"],
            owner=row["owner"],
            priority=row["priority"],
            count=row["count"],
            types=tuple(row["types"]),
            max_price=row["max_price"],
            copies=row["copies"],
            granted=row["granted"],
            held=row["held"],
            gang=row["gang"],
            preemptible=row["preemptible"],
            run_at_most=row["run_at_most"],
            reason=row["reason"],
            waits=msgspec.convert(row["waits"], Waits) if row["waits"] else NOTHING,
            age=row["age"],
            seq=row["seq"],
        )
        for row in rows
    ]


def heads(rows: Iterable[asyncpg.Record]) -> list[Head]:
    """What was read of each owner, class and wish; the rows of each stand together."""
    found = []
    wanting = (row for row in rows if row["wish"] is not None)
    for (owner, priority, _), each in groupby(
        wanting, lambda row: (row["owner"], row["priority"], row["wish"])
    ):
        own = list(each)
        found.append(
            Head(
                owner=owner,
                priority=priority,
                jobs=[row["job"] for row in own],
                share=own[0]["share"],
                cut=own[-1]["cut"],
            )
        )
    return found


def behind(heads: Sequence[Head], wanting: Mapping[str, int]) -> dict[str, int]:
    """How many more wait than were read, of owners of whom not all were. `wanting` is how many of
    each wait for GPUs, as of a moment ago."""
    shown: Counter[str] = Counter()
    for head in heads:
        shown[head.owner] += len(head.jobs)
    more = {
        head.owner: wanting.get(head.owner, 0) - shown[head.owner] for head in heads if head.cut
    }
    return {owner: count for owner, count in more.items() if count > 0}


def slots(rows: Iterable[asyncpg.Record]) -> list[Slot]:
    """The GPUs that are there."""
    return [
        Slot(
            gpu=row["id"],
            type=row["type"],
            node=row["node"],
            price=row["price"],
            job=row["job"],
            device=row["device"],
            unproven=row["unproven"] and row["job"] is None,
        )
        for row in rows
        if row["present"]
    ]


def held(rows: Iterable[asyncpg.Record]) -> list[tuple[str, Replica]]:
    """The devices that are held, also such as are not there any more, each with its holder."""
    return [
        (row["device"], Replica(row["job"], row["attempt"]))
        for row in rows
        if row["job"] is not None
    ]


def holders(rows: Iterable[asyncpg.Record]) -> dict[JobId, Holder]:
    """Who holds GPUs; of a job of which two attempts do, the present one."""
    return {row["job"]: Holder(**dict(row)) for row in rows}
