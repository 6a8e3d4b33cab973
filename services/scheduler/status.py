"""Whether models answer `Status`. A driver sees only that their port is open.

Before a model counts as started all of its copies have to say that they serve; what says nothing of
the kind for `deadline` seconds has failed. Of a model that runs it is asked now and then, so that
people see why it doesn't answer, and nothing else follows from it. What is remembered here is
found out again by the next scheduler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.logs import clean
from services.scheduler.reconcile import Work
from shared import doorman
from shared.address import Address
from shared.lifecycle import State
from shared.unary.status import Away, NotServing, Serving

log = logging.getLogger(__name__)

ASKS: Final = 128  # at once: each mostly waits
COPIES: Final = 8  # of one replica, of those
LONGEST: Final = 500  # characters of what a model says of itself

Ask = Callable[[Address, Sequence[str], float], Awaitable[Serving | NotServing | Away]]


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    deadline: float = 60.0  # seconds from the first question to the last
    again: float = 2.0  # seconds between two questions to a model that starts
    every: float = 10.0  # seconds between two questions to a model that runs
    answer: float = 5.0  # seconds that one may take


class Statuses:
    def __init__(
        self,
        ask: Ask,
        *,
        changed: Callable[[], None],
        keys: Sequence[str] = (),
        patience: Patience | None = None,
    ) -> None:
        """`changed` is told when `unwell` is another; `keys` are those of DOORMAN_KEY."""
        self.patience = patience or Patience()
        self._ask = ask
        self._changed = changed
        self._keys = keys
        self._asks = asyncio.Semaphore(ASKS)
        self._known: dict[Replica, _Known] = {}
        self._tasks: dict[Replica, asyncio.Task[None]] = {}

    @property
    def unwell(self) -> Mapping[Replica, str]:
        """Why those that don't serve don't."""
        return {replica: known.why for replica, known in self._known.items() if known.why}

    def waited(self, replica: Replica) -> float:
        """Seconds since it was first asked."""
        known = self._known.get(replica)
        return 0.0 if known is None else _now() - known.since

    async def why_not(self, replica: Replica, addresses: Sequence[Address]) -> str:
        """Why it does not serve at one of its addresses; nothing when it does at all of them."""
        known = self._known.setdefault(replica, _Known(_now()))
        secrets = [doorman.secret(key, replica.job, replica.attempt) for key in self._keys]
        few = asyncio.Semaphore(COPIES)

        async def ask(address: Address) -> Serving | NotServing | Away:
            async with few, self._asks:
                return await self._ask(address, secrets, self.patience.answer)

        answers = await asyncio.gather(*(ask(address) for address in addresses))
        reasons = [each.reason for each in answers if not isinstance(each, Serving)]
        why = clean(reasons[0])[:LONGEST] or "it does not serve" if reasons else ""
        if why != known.why:
            known.why = why
            self._changed()
        return why

    def watch(self, works: Sequence[Work]) -> None:
        """Begin to ask those that run and were not asked of late."""
        for work in works:
            if work.model and work.state is State.RUNNING and work.addresses:
                self._begin(work)

    def forget(self, alive: Collection[Replica]) -> None:
        for gone in self._known.keys() - alive:
            del self._known[gone]

    async def drop(self) -> None:
        """Returns when nobody is asked any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, work: Work) -> None:
        replica = work.replica
        known = self._known.setdefault(replica, _Known(_now()))
        if replica in self._tasks or _now() < known.asked + self.patience.every:
            return
        known.asked = _now()
        task = asyncio.create_task(self._look(replica, work.addresses), name=f"status of {replica}")
        self._tasks[replica] = task
        task.add_done_callback(lambda _: self._tasks.pop(replica))

    async def _look(self, replica: Replica, addresses: Sequence[Address]) -> None:
        try:
            await self.why_not(replica, addresses)
        except Exception:  # nothing follows from it, so nobody else is to suffer
            log.exception("could not ask %s for its status", replica)


class _Known:
    """What is remembered of a replica."""

    def __init__(self, since: float) -> None:
        self.since = since  # when it was first asked
        self.asked = -inf  # when it was last asked since it runs
        self.why = ""


def _now() -> float:
    return asyncio.get_running_loop().time()
