"""One service with a fault planted in it, to show that the drill's checker would tell.

`python -m benchmarks.drill.faulty FAULT services.scheduler` runs the service as it is but for the
fault. Each fault is a mistake that somebody could make.
"""

from __future__ import annotations

import itertools
import runpy
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from tests.acceptance.platform import SERVICES
from tests.simulation.plants import index_dropped


def mark_before_announcing() -> None:
    """The outbox forgets an event before the bus has it: a crash in between loses it."""
    from shared.bus.publisher import Publisher
    from shared.events import Event

    announce, count = Publisher.announce, itertools.count(1)

    async def early(self: Publisher, events: Sequence[Event]) -> list[str]:
        kept = [event for event in events if next(count) % 20]  # as if killed at every 20th
        await announce(self, kept)
        return [event.id for event in events]

    Publisher.announce = early  # type: ignore[method-assign]


def answer_before_commit() -> None:
    """Now and then a transaction is answered for and rolled back."""
    from shared.database.pool import Connection, Database

    transaction, count = Database.transaction, itertools.count(1)

    class RolledBack(Exception):
        pass

    @asynccontextmanager
    async def careless(self: Database) -> AsyncIterator[Connection]:
        try:
            async with transaction(self) as connection:
                yield connection
                if next(count) % 25 == 0:
                    raise RolledBack
        except RolledBack:
            pass

    Database.transaction = careless  # type: ignore[method-assign]


class Fault(NamedTuple):
    services: tuple[str, ...]  # that it is planted in
    plant: Callable[[], None]


FAULTS: Final[dict[str, Fault]] = {
    "mark-before-announcing": Fault(SERVICES, mark_before_announcing),  # each has a relay
    "give-twice": Fault(("scheduler",), index_dropped),
    "answer-before-commit": Fault(("api",), answer_before_commit),
}

SQL: Final[dict[str, str]] = {"give-twice": "DROP INDEX one_holder_per_gpu"}


def main(arguments: Sequence[Any]) -> None:
    fault, module = arguments
    FAULTS[fault].plant()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
