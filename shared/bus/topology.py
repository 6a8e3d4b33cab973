"""What the platform has on the broker: two exchanges, a log, a place for the parked, and queues.

Everything is durable, and every argument is said, because releases of RabbitMQ differ in what they
assume. `<name>` is `slipway`, or what a test calls itself:

    <name>.events    topic exchange; the routing key is the event's type
    <name>.log       a stream bound to `#`: whoever comes later can read a week of events again,
                     and no event is without a queue, so that one which is means trouble
    <name>.parked    fanout exchange and queue: what nobody could handle, with the reason
    <name>.<queue>   one per group of subscribers

Queues that last are quorum queues. Those that come and go with a process are classic ones: a quorum
queue that is made within half a second of the broker being killed never answers again (seen with
3.10.8), and as long as it is there no event that it wants is confirmed to anybody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue, ExchangeType
from aio_pika.exceptions import ChannelNotFoundEntity

logger = logging.getLogger(__name__)

DELIVERIES: Final = 200
"""The broker parks what came back this often. It counts the deaths of consumers, which say nothing
about the event, so the number is high: failures of handlers are counted in the process."""

EXPIRES: Final = 60_000  # milliseconds that a queue which is not lasting outlives its subscriber
LASTING: Final = 1_000_000  # events; one more is refused, and stays in the outbox
PASSING: Final = 100_000  # events; one more pushes out the oldest

LOG: Final[dict[str, Any]] = {
    "x-queue-type": "stream",
    "x-max-age": "7D",
    "x-max-length-bytes": 2 << 30,
    "x-stream-max-segment-size-bytes": 64 << 20,
}


def events(name: str) -> str:
    return f"{name}.events"


def parked(name: str) -> str:
    return f"{name}.parked"


def arguments(name: str, *, lasting: bool) -> dict[str, Any]:
    """What a queue of subscribers is declared with."""
    if not lasting:
        return {
            "x-queue-type": "classic",
            "x-expires": EXPIRES,
            "x-max-length": PASSING,
            "x-overflow": "drop-head",
        }
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERIES,
        "x-dead-letter-exchange": parked(name),
        "x-max-length": LASTING,
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
    }


async def declare(channel: AbstractChannel, name: str) -> AbstractExchange:
    """Make what is missing, and return the exchange that events are announced to."""
    exchange = await channel.declare_exchange(events(name), ExchangeType.TOPIC, durable=True)
    aside = await channel.declare_exchange(parked(name), ExchangeType.FANOUT, durable=True)
    kept = await channel.declare_queue(
        parked(name), durable=True, arguments={"x-queue-type": "quorum"}
    )
    await kept.bind(aside)
    return exchange


async def declare_log(channel: AbstractChannel, name: str) -> None:
    """The log, on a channel of its own: the broker closes it when the log can't be had.

    A broker that is killed within half a second of its first stream ever loses that stream for
    good (seen with 3.10.8), and one that starts has none for a moment. The platform goes on
    without it: its own queues do not depend on the log.
    """
    try:
        stream = await channel.declare_queue(f"{name}.log", durable=True, arguments=LOG)
        await stream.bind(events(name), "#")
    except ChannelNotFoundEntity as error:
        logger.error("there is no log of events on the broker: %s", error)


async def declare_queue(
    channel: AbstractChannel, name: str, queue: str, topics: Sequence[str], *, lasting: bool
) -> AbstractQueue:
    """The queue of one group of subscribers, bound to its topics."""
    declared = await channel.declare_queue(
        f"{name}.{queue}", durable=True, arguments=arguments(name, lasting=lasting)
    )
    for topic in topics:
        await declared.bind(events(name), topic)
    return declared
