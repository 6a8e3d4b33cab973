"""Publishing that ends in a yes, a no or a Transient, on a connection of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    DeliveryMode,
    HeadersType,
)
from aio_pika.exceptions import DeliveryError

from shared.bus import topology
from shared.bus.connection import close, connect, within
from shared.errors import Transient
from shared.events import CONTENT_TYPE, Event, encode

DEADLINE: Final = 9.0  # seconds for a batch, with connecting; the contract says ten
LARGEST: Final = 1 << 20  # bytes of one event; more would hurt the broker and everybody on it


def message(body: bytes, headers: HeadersType) -> aio_pika.Message:
    """`message_id` is new each time: two in flight with one id would take each other's answer."""
    return aio_pika.Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=uuid.uuid4().hex,
        headers=headers,
    )


class Exchanges(NamedTuple):
    """What a publisher speaks to. Held on to, since aio-pika keeps channels only weakly."""

    channel: AbstractChannel
    events: AbstractExchange
    parked: AbstractExchange


class Publisher:
    """Connects when it is first needed, and anew after any trouble."""

    def __init__(self, url: str, name: str, *, log: bool) -> None:
        self._url = url
        self._name = name
        self._log = log
        self._connection: AbstractConnection | None = None
        self._exchanges: Exchanges | None = None
        self._busy = asyncio.Lock()

    async def announce(self, events: Sequence[Event]) -> list[str]:
        """`Announcer`: the ids of those that the broker confirmed, in whatever order it did."""
        have: set[int] = set()

        async def one(exchange: AbstractExchange, place: int, event: Event) -> None:
            body = encode(event)
            if len(body) <= LARGEST and await _confirmed(
                exchange, event.type, message(body, {"event": event.id})
            ):
                have.add(place)

        try:
            async with self._opened() as exchanges:
                # a channel sends in the order in which it was asked
                asked = [one(exchanges.events, *placed) for placed in enumerate(events)]
                for error in await asyncio.gather(*asked, return_exceptions=True):
                    if error is not None:
                        raise error
        except Transient:
            if not have:
                raise
        return [event.id for place, event in enumerate(events) if place in have]

    async def park(self, body: bytes, headers: HeadersType, topic: str) -> None:
        """Put aside what can't be handled. Raises Transient unless the broker has it."""
        async with self._opened() as exchanges:
            if not await _confirmed(exchanges.parked, topic, message(body, headers)):
                raise Transient(f"RabbitMQ does not take what goes to {exchanges.parked.name}")

    async def close(self) -> None:
        connection, self._connection, self._exchanges = self._connection, None, None
        if connection is not None:
            await close(connection)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Exchanges]:
        """One caller at a time, and a fresh connection for the next one after any trouble: an
        answer that comes late must not meet another question."""
        async with self._busy:
            try:
                async with within(DEADLINE):
                    yield await self._open()
            except BaseException:
                await self.close()
                raise

    async def _open(self) -> Exchanges:
        if self._exchanges is not None and not self._exchanges.channel.is_closed:
            return self._exchanges
        await self.close()
        self._connection = await connect(self._url, f"{self._name} publisher")
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        events = await topology.declare(channel, self._name)
        if self._log:
            async with self._connection.channel() as aside:
                await topology.declare_log(aside, self._name)
        parked = await channel.get_exchange(topology.parked(self._name), ensure=False)
        self._exchanges = Exchanges(channel, events, parked)
        return self._exchanges


async def _confirmed(exchange: AbstractExchange, topic: str, sent: aio_pika.Message) -> bool:
    """False: no queue wants it, or one that does refused it."""
    try:
        await exchange.publish(sent, routing_key=topic, mandatory=True)
    except DeliveryError:
        return False
    return True
