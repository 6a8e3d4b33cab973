"""The bus inside one process, for the embedded platform and for tests. Its queues die with it.

That loses nothing: events are hints, the table is the truth, and every service looks for itself
when it starts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from shared.bus.delivery import PAUSES, Park, Settled, Subscription
from shared.bus.port import Announcer, Handler
from shared.bus.topic import matches
from shared.events import Event
from shared.run import Loop
from shared.telemetry import FloorTelemetry

CAPACITY: Final = 10_000  # events that a queue holds
PARKED: Final = 1_000  # parked events that are remembered


class Parked(msgspec.Struct, frozen=True):
    """An event that nobody could handle, and why."""

    queue: str
    event: Event
    reason: str


class Queue:
    """What one group of subscribers has yet to take, oldest first."""

    def __init__(self, *, lasting: bool, capacity: int) -> None:
        self.lasting = lasting
        self.topics: set[str] = set()
        self.subscribers = 0
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._filled = asyncio.Event()

    def wants(self, event: Event) -> bool:
        return any(matches(topic, event.type) for topic in self.topics)

    @property
    def refuses(self) -> bool:
        """Full, and what it holds may not be dropped."""
        return self.lasting and len(self._events) >= self._capacity

    def put(self, event: Event) -> None:
        if len(self._events) >= self._capacity:
            self._events.popleft()
        self._events.append(event)
        self._filled.set()

    def put_back(self, event: Event) -> None:
        self._events.appendleft(event)
        self._filled.set()

    async def take(self) -> Event:
        while not self._events:
            self._filled.clear()
            await self._filled.wait()
        return self._events.popleft()


class LocalBus:
    """Keeps the contract of port.py.

    `log`: events that no queue wants count as announced, as they do where a log takes all.
    """

    def __init__(
        self,
        *,
        log: bool = True,
        capacity: int = CAPACITY,
        pauses: Sequence[float] = PAUSES,
        telemetry: FloorTelemetry | None = None,
    ) -> None:
        self.parked: deque[Parked] = deque(maxlen=PARKED)
        self._log = log
        self._capacity = capacity
        self._pauses = pauses
        self._telemetry = telemetry or FloorTelemetry()
        self._queues: dict[str, Queue] = {}

    @asynccontextmanager
    async def announcer(self) -> AsyncIterator[Announcer]:
        yield self._announce

    async def _announce(self, events: Sequence[Event]) -> list[str]:
        have = []
        for event in events:
            wanted = [queue for queue in self._queues.values() if queue.wants(event)]
            if any(queue.refuses for queue in wanted) or not (wanted or self._log):
                continue
            for queue in wanted:
                queue.put(event)
            have.append(event.id)
        await asyncio.sleep(0)  # as the real one would: others get their turn
        return have

    def subscribe(
        self,
        queue: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        at_once: int = 16,
        lasting: bool = True,
    ) -> Loop:
        subscription = Subscription(
            queue, handler, at_once=at_once, pauses=self._pauses, telemetry=self._telemetry
        )
        if lasting:
            self._queue(queue, topics, lasting=True)

        async def loop(stopping: asyncio.Event) -> None:
            source = self._queue(queue, topics, lasting=lasting)
            source.subscribers += 1
            try:
                async with asyncio.TaskGroup() as in_hand:
                    taking = in_hand.create_task(
                        self._take(source, subscription, stopping, in_hand)
                    )
                    await stopping.wait()
                    taking.cancel()
            finally:
                source.subscribers -= 1
                if not lasting and not source.subscribers:
                    self._queues.pop(queue, None)

        return loop

    def _queue(self, name: str, topics: Sequence[str], *, lasting: bool) -> Queue:
        fresh = Queue(lasting=lasting, capacity=self._capacity)
        queue = self._queues.setdefault(name, fresh)
        queue.topics.update(topics)
        return queue

    async def _take(
        self,
        source: Queue,
        subscription: Subscription,
        stopping: asyncio.Event,
        in_hand: asyncio.TaskGroup,
    ) -> None:
        slots = asyncio.Semaphore(subscription.ahead)

        async def deliver(event: Event) -> None:
            try:
                await self._deliver(event, source, subscription, stopping)
            finally:
                slots.release()

        while True:
            await slots.acquire()
            in_hand.create_task(deliver(await source.take()))

    async def _deliver(
        self, event: Event, source: Queue, subscription: Subscription, over: asyncio.Event
    ) -> None:
        try:
            outcome = await subscription.see_through(event, over)
        except asyncio.CancelledError:
            source.put_back(event)
            raise
        match outcome:
            case Settled.BACK:
                source.put_back(event)
            case Park(reason):
                self.parked.append(Parked(subscription.queue, event, reason))
                subscription.parked(f"{event.type} {event.id}", outcome)
