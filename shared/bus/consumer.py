"""Taking events from a queue of RabbitMQ: one session per connection, and a new one after a loss.

An event is acknowledged in one place, when it is done or safely parked. Whatever is in hand when a
session ends is not acknowledged, so the broker delivers it again, here or elsewhere. A new session
begins when the handlers of the last one have ended: at most `at_once` ever run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import (
    AuthenticationError,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)

from shared.bus import topology
from shared.bus.connection import CALL, SETUP, backoff, close, connect, within
from shared.bus.delivery import Outcome, Park, Settled, Subscription
from shared.bus.publisher import Publisher
from shared.errors import Permanent, Transient
from shared.events import decode
from shared.run import chain, pause

log = logging.getLogger(__name__)

LOOK: Final = 10.0  # seconds between looks whether the broker still knows us
STEADY: Final = 10.0  # seconds of life after which a session counts as one that worked
FORGET: Final = 30.0  # seconds that the broker may take to delete a queue
SILENCES: Final = 4  # calls in a row that a queue may leave unanswered until it is made anew
REFUSED: Final = (AuthenticationError, ProbableAuthenticationError, ChannelPreconditionFailed)
REFUSALS: Final = 5  # in a row, until the process gives up rather than idle for ever


class Consumer:
    """`run` is the loop that Bus.subscribe promises."""

    def __init__(
        self,
        url: str,
        name: str,
        subscription: Subscription,
        topics: Sequence[str],
        *,
        lasting: bool,
        parking: Publisher,
    ) -> None:
        self._url = url
        self._name = name
        self._subscription = subscription
        self._topics = topics
        self._lasting = lasting
        self._parking = parking
        self._silences = 0

    async def run(self, stopping: asyncio.Event) -> None:
        failures = refusals = 0
        while not stopping.is_set():
            began = time.monotonic()
            try:
                await self._session(stopping)
                refusals = 0
            except Transient as error:
                refusals = refusals + 1 if isinstance(error.__cause__, REFUSED) else 0
                if refusals == REFUSALS:
                    raise Permanent(f"{self._subscription.queue}: {error}") from error
                log.warning("%s: no events for now: %s", self._subscription.queue, error)
            failures = failures + 1 if time.monotonic() - began < STEADY else 0
            await pause(backoff(failures), stopping)

    async def _session(self, stopping: asyncio.Event) -> None:
        """Returns when told to stop or when the broker ended it. Raises Transient when it was lost.

        Either way, what was in hand is over.
        """
        connection = await connect(self._url, f"{self._name} {self._subscription.queue}")
        over = asyncio.Event()
        try:
            async with within(FORGET):
                channel = await connection.channel(publisher_confirms=False)
                await self._forget_a_silent_queue(channel)
            async with within(SETUP):
                await channel.set_qos(prefetch_count=self._subscription.ahead)
                await topology.declare(channel, self._name)
                queue = await topology.declare_queue(
                    channel,
                    self._name,
                    self._subscription.queue,
                    self._topics,
                    lasting=self._lasting,
                )
                await _tell_of_loss(channel, over)
            await self._consume(channel, queue, over, stopping)
        finally:
            await close(connection)  # what is not acknowledged goes back to the queue

    async def _consume(
        self,
        channel: AbstractChannel,
        queue: AbstractQueue,
        over: asyncio.Event,
        stopping: asyncio.Event,
    ) -> None:
        lost: Transient | None = None
        async with asyncio.TaskGroup() as in_hand:

            async def take(message: AbstractIncomingMessage) -> None:
                if not over.is_set():
                    in_hand.create_task(self._deliver(message, over))

            told = in_hand.create_task(chain(stopping, over))
            try:
                await self._listen(channel, queue, take, over, stopping)
            except Transient as error:
                lost = error  # raised inside, it would end the handlers
            finally:
                over.set()
                told.cancel()
        if lost is not None:
            raise lost

    async def _listen(
        self,
        channel: AbstractChannel,
        queue: AbstractQueue,
        take: Callable[[AbstractIncomingMessage], Awaitable[None]],
        over: asyncio.Event,
        stopping: asyncio.Event,
    ) -> None:
        self._silences += 1
        async with within(CALL):
            tag = await queue.consume(take)
        self._silences = 0
        log.info("%s: listening", self._subscription.queue)
        await self._watch(channel, queue.name, over)
        if stopping.is_set() and not channel.is_closed:
            async with within(CALL):
                await queue.cancel(tag)

    async def _forget_a_silent_queue(self, channel: AbstractChannel) -> None:
        """A queue that a broker lost the state of (see topology.py) would be silent for ever, and
        keep every event from being announced. What it held is in the database."""
        if self._silences >= SILENCES:
            log.error("%s: the queue does not answer and is made anew", self._subscription.queue)
            self._silences = 0
            await channel.queue_delete(f"{self._name}.{self._subscription.queue}")

    async def _watch(self, channel: AbstractChannel, queue: str, over: asyncio.Event) -> None:
        """Returns once `over`. Raises Transient when the broker does not know of us any more."""
        while True:
            await pause(LOOK, over)
            if over.is_set():
                return
            async with within(CALL):
                underlay = await channel.get_underlay_channel()
                found = await underlay.queue_declare(queue, passive=True)
            if not found.consumer_count:
                raise Transient(f"the broker knows no consumer of {queue}")

    async def _deliver(self, message: AbstractIncomingMessage, over: asyncio.Event) -> None:
        """The only place that acknowledges."""
        outcome = await self._outcome(message, over)
        if isinstance(outcome, Park):
            outcome = await self._park(message, outcome, over)
        if outcome is Settled.DONE:
            with suppress(Transient):  # not heard: it comes again, which is allowed
                async with within(CALL):
                    await message.ack()

    async def _outcome(self, message: AbstractIncomingMessage, over: asyncio.Event) -> Outcome:
        try:
            event = decode(message.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Park(f"not an event: {error}", 1)
        return await self._subscription.see_through(event, over)

    async def _park(
        self, message: AbstractIncomingMessage, park: Park, over: asyncio.Event
    ) -> Settled:
        """Done when it is parked; until then it stays unacknowledged, so that it can't get lost."""
        headers: dict[str, Any] = {
            "event": str(message.headers.get("event", "")),
            "queue": self._subscription.queue,
            "reason": park.reason[:1000],
            "tries": park.tries,
        }
        while not over.is_set():
            try:
                await self._parking.park(message.body, headers, message.routing_key or "")
            except Transient as error:
                log.warning("%s: can't park: %s", self._subscription.queue, error)
                await pause(1.0, over)
            else:
                self._subscription.parked(f"{message.routing_key} {headers['event']}", park)
                return Settled.DONE
        return Settled.BACK


async def _tell_of_loss(channel: AbstractChannel, over: asyncio.Event) -> None:
    """Set `over` when the channel ends or the broker cancels a consumer (its queue is gone)."""

    def lost(*_: object) -> None:
        over.set()

    channel.close_callbacks.add(lost)
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lost)
