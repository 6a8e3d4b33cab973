"""One job's copies, as the gateway calls them: a channel to each, and places in all of them.

A call is made again, at another copy or over a new channel, only when certainly nothing was done
about it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from services.router.copies import Copies, Copy
from services.router.gate import Gate
from services.router.gateway.wire import PATH
from services.router.table import Route
from shared.address import has_doorman
from shared.dial import Failed, Trouble
from shared.unary.limits import Limits
from shared.unary.pool import Channels

CONNECT: Final = 5.0  # seconds for a channel ...
BRIEF: Final = 1.5  # ... and for one that others can take the place of
PAUSE: Final = 0.05  # seconds between the first two tries at a door that is shut; then doubled
TRIES: Final = 5  # channels that end just as they are used, before a call is given up


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """How runtimes are called."""

    patience: float = 2.0  # seconds to knock at the only copy, between two of its lives
    keys: tuple[str, ...] = ()  # see shared.doorman
    limits: Limits = Limits()


class Runtime:
    def __init__(self, route: Route, ways: Ways) -> None:
        self.gate = Gate(route.serving)
        self.shadows = 0  # copies of requests in hand, which have no place in the gate
        self._copies = Copies(route.job, ways.keys)
        self._channels = Channels(ways.limits, CONNECT)
        self._patience = ways.patience
        self.take(route)

    @property
    def idle(self) -> bool:
        return self.gate.idle and not self.shadows

    def take(self, route: Route | None) -> None:
        """The news of where the copies are; None: nowhere."""
        self._copies.take(route)
        self.gate.resize(len(self._copies))
        secrets = self._copies.secrets
        self._channels.keep([(copy.address, secrets) for copy in self._copies])

    async def close(self) -> None:
        """At once: calls in hand fail."""
        await self._channels.close()

    async def call(self, message: bytes, deadline: float) -> bytes:
        """The answer. `deadline` is of time.monotonic(). Raises Failed and Rejected."""
        loop, pause, ended = asyncio.get_running_loop(), PAUSE, 0
        until = min(deadline, loop.time() + self._patience)
        tried: list[Copy] = []
        missed: Failed | None = None
        while True:
            copy = self._copies.pick(tried)
            if copy is None:
                if len(self._copies) > 1 or loop.time() + pause > until:
                    raise self._lost(missed)
                await asyncio.sleep(pause)
                pause *= 2
                tried.clear()
                continue
            copy.inside += 1
            reached = False
            try:
                channel = self._channels.at_hand(copy.address, self._copies.secrets)
                if channel is None:
                    last = len(tried) + 1 >= len(self._copies)
                    async with asyncio.timeout(CONNECT if last else BRIEF):
                        channel = await self._channels.open(copy.address, self._copies.secrets)
                    self._copies.reached(copy)
                reached = True
                return await channel.call(PATH, message, deadline)
            except TimeoutError:
                missed = Failed(Trouble.SILENT, "It does not take connections.", safe=True)
            except Failed as failed:
                if not failed.safe:
                    raise
                missed = failed
            finally:
                copy.inside -= 1
            if reached and ended < TRIES:  # the channel closed as we came; there is a new one
                ended += 1
                continue
            self._copies.missed(copy, missed.detail)
            tried.append(copy)

    def _lost(self, missed: Failed | None) -> Failed:
        alone = len(self._copies) == 1 and not any(has_doorman(one.address) for one in self._copies)
        if missed is not None and alone:
            return missed
        return Failed(Trouble.AWAY, "None of its copies can be reached.")
