"""The bus over RabbitMQ: what `open_amqp` gives keeps the contract of port.py.

topology.py says what is on the broker, publisher.py announces, consumer.py takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.bus.consumer import Consumer
from shared.bus.delivery import PAUSES, Subscription
from shared.bus.port import Announcer, Handler
from shared.bus.publisher import Publisher
from shared.run import Loop
from shared.telemetry import FloorTelemetry


class AmqpBus:
    """Connections for announcing, parking and each subscription are separate ones, so that a
    broker that stops taking still gives."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        log: bool,
        pauses: Sequence[float],
        telemetry: FloorTelemetry,
    ) -> None:
        self._url = url
        self._name = name
        self._log = log
        self._pauses = pauses
        self._telemetry = telemetry
        self._parking = Publisher(url, name, log=log)

    @asynccontextmanager
    async def announcer(self) -> AsyncIterator[Announcer]:
        publisher = Publisher(self._url, self._name, log=self._log)
        try:
            yield publisher.announce
        finally:
            await publisher.close()

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
        consumer = Consumer(
            self._url,
            self._name,
            subscription,
            topics,
            lasting=lasting,
            parking=self._parking,
        )
        return consumer.run

    async def close(self) -> None:
        await self._parking.close()


@asynccontextmanager
async def open_amqp(
    url: str,
    *,
    name: str = "slipway",
    log: bool = True,
    pauses: Sequence[float] = PAUSES,
    telemetry: FloorTelemetry | None = None,
) -> AsyncIterator[AmqpBus]:
    """A bus on the broker at `url`; all that it has there is called `name` and something.

    Connects when there is something to do, so it opens while the broker is away. Without `log` an
    event that no queue wants is not announced.
    """
    bus = AmqpBus(url, name=name, log=log, pauses=pauses, telemetry=telemetry or FloorTelemetry())
    try:
        yield bus
    finally:
        await bus.close()
