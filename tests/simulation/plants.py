"""Mistakes that somebody could make, each of which the simulation has to catch."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from services.scheduler import leftovers, look, reconcile, store
from services.scheduler.driver import Replica
from services.scheduler.epoch import Epoch
from services.scheduler.performer import Performer
from services.scheduler.queue.values import Slot
from shared.database import jobs
from shared.database.pool import Connection, Database


def spoilt(query: str, right: str, wrong: str) -> str:
    """A statement with a mistake in it; it must have been right before."""
    assert right in query, f"there is no `{right}` to be spoilt any more"
    return query.replace(right, wrong)


def index_dropped() -> None:
    """The scheduler believes that every GPU is free, and nothing refuses a second holder."""
    slots = look.slots

    def free(rows: Iterable[asyncpg.Record]) -> list[Slot]:
        return [Slot(gpu=s.gpu, type=s.type, node=s.node, price=s.price) for s in slots(rows)]

    look.slots = free
    jobs.PLACE = spoilt(jobs.PLACE, "allocations.gpu = gpus.id", "false")


def epoch_ignored() -> None:
    """What is written names no epoch."""
    Epoch.__call__ = lambda self: None  # type: ignore[method-assign]

    @asynccontextmanager
    async def unheld(self: Epoch, database: Database) -> AsyncIterator[Connection]:
        async with database.transaction() as connection:
            yield connection

    Epoch.transaction = unheld  # type: ignore[method-assign]
    Epoch.check = lambda self, present: None  # type: ignore[method-assign]


def acknowledged_before_commit() -> None:
    """Now and then a transaction is answered for and never comes about."""
    transaction, count = Database.transaction, itertools.count(1)

    class RolledBack(Exception):
        pass

    @asynccontextmanager
    async def careless(self: Database) -> AsyncIterator[Connection]:
        try:
            async with transaction(self) as connection:
                yield connection
                if next(count) % 7 == 0:
                    raise RolledBack
        except RolledBack:
            pass

    Database.transaction = careless  # type: ignore[method-assign]


def released_before_gone() -> None:
    """GPUs are free as soon as their job is told to stop."""
    stop = Performer._stop

    async def early(self: Performer, replica: Replica, drain: float) -> None:
        await self._store.ended(replica)
        await stop(self, replica, drain)

    Performer._stop = early  # type: ignore[method-assign]


def attempt_unguarded() -> None:
    """What is said of an attempt that is over is taken for the present one."""
    jobs.ADVANCE = spoilt(jobs.ADVANCE, "AND attempt = $2", "AND attempt >= $2")


def never_released() -> None:
    """A job that has stopped keeps its GPUs."""
    never = spoilt(jobs.RELEASE, "allocations.job = $1", "allocations.gpu = $1")
    store.RELEASE = never  # type: ignore[attr-defined]


def unknown_ignored() -> None:
    """What runs and is unknown to the tables is in nobody's way."""
    leftovers.unknown = lambda there, works, holders: []


def told_again() -> None:
    """What is known is written down at every look."""
    count = store.COUNT_RESTARTS
    store.COUNT_RESTARTS = spoilt(count, "jobs.restarts <> given.restarts", "true")
    reconcile.restarted = lambda works, observed: {work.replica: 0 for work in works}


PLANTS: Final[dict[str, Callable[[], None]]] = {
    "acknowledged-before-commit": acknowledged_before_commit,
    "attempt-unguarded": attempt_unguarded,
    "epoch-ignored": epoch_ignored,
    "index-dropped": index_dropped,
    "never-released": never_released,
    "released-before-gone": released_before_gone,
    "told-again": told_again,
    "unknown-ignored": unknown_ignored,
}
SQL: Final = {"index-dropped": "DROP INDEX one_holder_per_gpu"}
