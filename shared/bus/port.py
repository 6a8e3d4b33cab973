"""The bus as the services see it. Two kinds keep this contract: amqp.py and local.py.

Delivery is at least once: a handler may be called twice with one event, and after a crash late or
never on the local bus. So an event is a hint and the database is the truth; every service also
looks for itself now and then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.events import Event
from shared.run import Loop

Handler = Callable[[Event], Awaitable[None]]


class Announcer(Protocol):
    async def __call__(self, events: Sequence[Event]) -> list[str]:
        """Announce `events` in order; the ids of those that the bus durably has, in the
        same order.

        An event that reaches no queue, or that the bus refuses, is left out: it is not announced.
        Takes at most ten seconds. Raises Transient when the bus is away.
        """


class Bus(Protocol):
    def announcer(self) -> AbstractAsyncContextManager[Announcer]:
        """Opens a way to announce; one per relay."""

    def subscribe(
        self,
        queue: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        at_once: int = 16,
        lasting: bool = True,
    ) -> Loop:
        """A loop that gives `handler` the events whose type matches one of `topics`.

        A topic is a type, or a pattern in which `*` stands for one word and `#` for any number
        (`slipway.job.#`). At most `at_once` handlers run at a time. Returned: done. Permanent or
        an unreadable event: parked at once. Any other exception: tried again with growing pauses,
        and parked after the fifth try. A process that dies loses none of its events, and its death
        is not held against them. Several subscribers of one `queue` share its events; each
        `queue` gets every event. A `lasting` queue collects events while nobody subscribes; one
        that is not goes away soon after its subscriber did.

        Told to stop, the loop takes nothing new and returns when what is in hand is done.
        """
