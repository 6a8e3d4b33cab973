"""Both buses behind one face, and what the tests of the bus say to them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Protocol

import aio_pika
import msgspec

from shared.bus import Announcer, Bus
from shared.bus.amqp import AmqpBus, open_amqp
from shared.bus.local import LocalBus
from shared.errors import Transient
from shared.events import CONTENT_TYPE, Event, JobQueued, encode

PAUSES = (0.01, 0.02, 0.03, 0.04)
SOON = 20.0  # seconds; the machine may be busy
PROBE = "probe"


def event(subject: str = "j1", type: str = JobQueued.type) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        source="/acme/shop",
        type=type,
        subject=subject,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data=msgspec.Raw(b'{"job":"j1","attempt":1}'),
    )


class Lab(Protocol):
    """A bus of its own for one test. It has no log, so an event that no queue wants is refused."""

    @property
    def bus(self) -> Bus: ...

    async def parked(self, count: int) -> list[tuple[str, str]]:
        """Wait for so many parked events: (event id, reason)."""


class LocalLab:
    def __init__(self) -> None:
        self.bus = LocalBus(log=False, pauses=PAUSES)

    async def parked(self, count: int) -> list[tuple[str, str]]:
        await until(lambda: len(self.bus.parked) >= count)
        return [(parked.event.id, parked.reason) for parked in self.bus.parked]


class AmqpLab:
    def __init__(self, url: str, name: str, bus: AmqpBus) -> None:
        self.url = url
        self.name = name
        self.bus = bus

    async def parked(self, count: int) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async with asyncio.timeout(SOON), broker(self.url) as channel:
            queue = await channel.get_queue(f"{self.name}.parked")
            while len(found) < count:
                message = await queue.get(fail=False, timeout=SOON)
                if message is None:
                    await asyncio.sleep(0.02)
                    continue
                found.append((str(message.headers["event"]), str(message.headers["reason"])))
                await message.ack()
        return found

    async def parked_when_there(self, of: Event) -> str:
        """The reason with which `of` is parked, however long its queue takes to appear."""
        async with asyncio.timeout(SOON):
            while True:
                try:
                    found = dict(await self.parked(1))
                    return found[of.id]
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    await asyncio.sleep(0.05)

    async def publish(self, body: bytes, topic: str) -> None:
        async with broker(self.url) as channel:
            exchange = await channel.get_exchange(f"{self.name}.events", ensure=False)
            await exchange.publish(
                aio_pika.Message(body, content_type=CONTENT_TYPE), routing_key=topic
            )

    async def remove(self, *queues: str) -> None:
        async with broker(self.url) as channel:
            for queue in queues:
                await channel.queue_delete(f"{self.name}.{queue}")


@asynccontextmanager
async def broker(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """RabbitMQ as an operator sees it."""
    connection = await aio_pika.connect(url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


@asynccontextmanager
async def amqp_lab(
    url: str, *, log: bool = False, through: str | None = None
) -> AsyncIterator[AmqpLab]:
    """`through` is an address that leads to the broker, for the bus alone."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    async with open_amqp(through or url, name=name, log=log, pauses=PAUSES) as bus:
        lab = AmqpLab(url, name, bus)
        yield lab
    await lab.remove("parked", "log", "one", "two", "three")
    async with broker(url) as channel:
        await channel.exchange_delete(f"{name}.events")
        await channel.exchange_delete(f"{name}.parked")


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not met():
            await asyncio.sleep(0.005)


class Listener:
    """A subscriber that remembers what it was given. Probes are not counted."""

    def __init__(
        self,
        lab: Lab,
        queue: str,
        *topics: str,
        handler: Callable[[Event], Awaitable[None]] | None = None,
        at_once: int = 16,
        lasting: bool = True,
    ) -> None:
        self.seen: list[Event] = []
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()
        self._handler = handler
        self._topics = topics or ("slipway.job.#",)
        self._loop = lab.bus.subscribe(
            queue, self._topics, self._handle, at_once=at_once, lasting=lasting
        )
        self._task: asyncio.Task[None] | None = None

    async def _handle(self, given: Event) -> None:
        if given.subject == PROBE:
            self.ready.set()
            return
        self.seen.append(given)
        if self._handler is not None:
            await self._handler(given)

    @property
    def ids(self) -> list[str]:
        return [given.id for given in self.seen]

    async def saw(self, *events: Event) -> None:
        await until(lambda: {given.id for given in events} <= set(self.ids))

    def begin(self) -> None:
        async def run() -> None:
            await self._loop(self.stopping)

        self._task = asyncio.create_task(run())

    async def stop(self) -> None:
        self.stopping.set()
        assert self._task is not None
        async with asyncio.timeout(SOON):
            await self._task

    async def died(self) -> None:
        """End as a process does that is killed: nothing more is done or acknowledged."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])


@asynccontextmanager
async def listening(announce: Announcer, *listeners: Listener) -> AsyncIterator[None]:
    """Within, all of them are known to take events; after it, all are stopped."""
    for listener in listeners:
        listener.begin()
    try:
        async with asyncio.timeout(SOON):
            while waiting := [one for one in listeners if not one.ready.is_set()]:
                with suppress(Transient):  # the broker may drop a connection over a queue that goes
                    await announce([event(PROBE) for _ in waiting])
                await asyncio.sleep(0.02)
        yield
    finally:
        for listener in listeners:
            await listener.stop()


def ids(events: Sequence[Event]) -> list[str]:
    return [given.id for given in events]


def body(of: Event) -> bytes:
    return encode(of)
