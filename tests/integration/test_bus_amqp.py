"""What only RabbitMQ can do to us: go away, stall, forget a queue, hand over rubbish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import msgspec
import pytest
from yarl import URL

from shared.bus import consumer, publisher, topology
from shared.bus.amqp import open_amqp
from shared.bus.connection import backoff
from shared.bus.topology import arguments
from shared.errors import Permanent, Transient
from shared.events import CONTENT_TYPE, Event, JobQueued, decode, encode
from tests.integration.buses import (
    PAUSES,
    AmqpLab,
    Listener,
    amqp_lab,
    broker,
    event,
    ids,
    listening,
    until,
)
from tests.proxy import Proxy, proxy
from tests.servers import Rabbit, private


@pytest.fixture
async def between(rabbit: Rabbit) -> AsyncIterator[Proxy]:
    url = URL(rabbit.url)
    async with proxy(url.host or "", url.port or 5672) as between:
        yield between


@pytest.fixture
async def lab(rabbit: Rabbit, between: Proxy) -> AsyncIterator[AmqpLab]:
    """Its bus reaches the broker through `between`; its tests go there directly."""
    through = str(URL(rabbit.url).with_host("127.0.0.1").with_port(between.port))
    async with amqp_lab(rabbit.url, through=through) as lab:
        yield lab


async def announced(lab: AmqpLab, *events: Event) -> None:
    """Announce as the relay does: until the bus has it."""
    async with lab.bus.announcer() as announce:
        async with asyncio.timeout(30):
            while True:
                try:
                    if await announce(events) == ids(events):
                        return
                except Transient:
                    await asyncio.sleep(0.02)


async def test_M05_deaths_of_consumers_are_not_held_against_their_events(lab: AmqpLab) -> None:
    async def hangs(_: Event) -> None:
        await asyncio.Event().wait()

    told = [event(str(n)) for n in range(10)]
    async with lab.bus.announcer() as announce:
        async with listening(announce, Listener(lab, "one")):
            pass
        await announce(told)
        for _ in range(30):
            dying = Listener(lab, "one", handler=hangs, at_once=10)
            dying.begin()
            await until(lambda dying=dying: len(dying.seen) == 10)  # type: ignore[misc]
            await dying.died()
        survivor = Listener(lab, "one")
        async with listening(announce, survivor):
            await survivor.saw(*told)
    async with broker(lab.url) as channel:
        parked = await channel.declare_queue(f"{lab.name}.parked", passive=True)
        assert parked.declaration_result.message_count == 0


async def test_a_cut_connection_is_made_again_and_no_event_is_lost(
    lab: AmqpLab, between: Proxy
) -> None:
    listener = Listener(lab, "one")
    async with lab.bus.announcer() as announce, listening(announce, listener):
        for n in range(5):
            told = event(str(n))
            between.cut()
            await announced(lab, told)
            await listener.saw(told)


async def test_handlers_in_hand_at_a_loss_end_before_new_ones_begin(
    lab: AmqpLab, between: Proxy
) -> None:
    running = highest = 0
    finish = asyncio.Event()

    async def slow(_: Event) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await finish.wait()
        running -= 1

    told = [event(str(n)) for n in range(4)]
    listener = Listener(lab, "one", handler=slow, at_once=2)
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await announce(told)
        await until(lambda: running == 2)
        between.cut()
        finish.set()
        await listener.saw(*told)
    assert highest == 2


async def test_M07_announcing_while_the_broker_is_away_is_transient(
    lab: AmqpLab, between: Proxy
) -> None:
    async with lab.bus.announcer() as announce, listening(announce, Listener(lab, "one")):
        between.refusing = True
        between.cut()
        began = time.monotonic()
        with pytest.raises(Transient):
            await announce([event()])
        assert time.monotonic() - began < 10
        between.refusing = False


async def test_M09_a_connection_that_stalls_fails_by_its_deadline_and_is_replaced(
    lab: AmqpLab, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "DEADLINE", 0.5)
    monkeypatch.setattr(consumer, "CALL", 0.5)
    monkeypatch.setattr(consumer, "LOOK", 0.1)
    listener, told = Listener(lab, "one"), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        between.stall()
        with pytest.raises(Transient):
            await announce([event()])
        accepted = between.accepted
        between.flow()
        monkeypatch.setattr(publisher, "DEADLINE", 9.0)
        await announced(lab, told)
        await listener.saw(told)
        assert between.accepted > accepted


async def test_M11_an_event_whose_confirmation_is_lost_is_not_taken_for_announced(
    lab: AmqpLab, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, told = Listener(lab, "one"), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        monkeypatch.setattr(publisher, "DEADLINE", 0.5)
        between.stall("back")
        with pytest.raises(Transient):
            await announce([told])
        between.flow()
        monkeypatch.setattr(publisher, "DEADLINE", 9.0)
        await announced(lab, told)
        await listener.saw(told)


async def test_M13_a_queue_that_was_deleted_is_made_again(lab: AmqpLab) -> None:
    listener, told = Listener(lab, "one"), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await lab.remove("one")
        await announced(lab, told)
        await listener.saw(told)


async def test_M13_a_consumer_that_the_broker_forgot_is_noticed(
    lab: AmqpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = asyncio.Event()

    async def deaf(channel: aio_pika.abc.AbstractChannel, over: asyncio.Event) -> None:
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())

    monkeypatch.setattr(consumer, "LOOK", 1.0)
    monkeypatch.setattr("shared.bus.consumer._tell_of_loss", deaf)
    listener, told = Listener(lab, "one"), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await lab.remove("one")
        await until(cancelled.is_set)
        async with broker(lab.url) as channel:
            topics = ["slipway.job.#"]
            await topology.declare_queue(channel, lab.name, "one", topics, lasting=True)
        await announced(lab, told)
        await listener.saw(told)


async def test_what_was_declared_otherwise_ends_the_process_instead_of_idling(
    lab: AmqpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "backoff", lambda failures: 0.01)
    async with broker(lab.url) as channel:
        await channel.declare_queue(f"{lab.name}.one", durable=True)
    with pytest.raises(Permanent, match="one: RabbitMQ"):
        async with asyncio.timeout(20):
            await lab.bus.subscribe("one", ["#"], _nothing)(asyncio.Event())


async def _nothing(_: Event) -> None:
    pass


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[" * 10_000, b'{"id": "1"}', b'{"id": 1, "data": "\xff"}'],
    ids=["empty", "not text", "deep", "incomplete", "broken text"],
)
async def test_M14_bytes_that_are_no_event_are_parked_with_the_reason(
    lab: AmqpLab, body: bytes
) -> None:
    listener, told = Listener(lab, "one"), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await lab.publish(body, "slipway.job.queued.v1")
        await announce([told])
        await listener.saw(told)
        [(_, reason)] = await lab.parked(1)
    assert reason.startswith("not an event: ")
    assert listener.ids == [told.id]


async def test_M17_an_event_of_a_type_from_the_future_is_handed_over(lab: AmqpLab) -> None:
    listener, told = Listener(lab, "one"), event(type="slipway.job.cloned.v7")
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await announce([told])
        await listener.saw(told)
    assert listener.seen[0].fact() is None


async def test_M18_an_event_too_large_for_the_broker_is_refused_before_it_is_sent(
    lab: AmqpLab,
) -> None:
    listener, small = Listener(lab, "one"), event()
    large = msgspec.structs.replace(small, id="2", data=msgspec.Raw(b'"' + b"x" * (2 << 20) + b'"'))
    async with lab.bus.announcer() as announce, listening(announce, listener):
        assert await announce([large, small]) == [small.id]


async def test_M21_what_can_not_be_parked_yet_is_kept(lab: AmqpLab) -> None:
    async def refuses(_: Event) -> None:
        raise Permanent("never")

    listener, first, second = Listener(lab, "one", handler=refuses), event(), event()
    async with lab.bus.announcer() as announce, listening(announce, listener):
        await announce([first])
        assert await lab.parked(1) == [(first.id, "permanent: never")]
        await lab.remove("parked")
        await announce([second])
        assert await lab.parked_when_there(second) == "permanent: never"


async def test_what_is_on_the_wire_is_a_cloud_event_in_structured_mode(lab: AmqpLab) -> None:
    told = event()
    async with lab.bus.announcer() as announce:
        async with listening(announce, Listener(lab, "one")):
            pass
        await announce([told, told])
    async with broker(lab.url) as channel:
        queue = await channel.get_queue(f"{lab.name}.one")
        first, second = [await queue.get(no_ack=True) for _ in range(2)]
    assert decode(first.body) == told
    assert (first.content_type, first.routing_key) == (CONTENT_TYPE, JobQueued.type)
    assert first.headers["event"] == told.id
    assert first.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert first.message_id != second.message_id, "one answer each, however often it is announced"


async def test_the_log_holds_every_event_for_whoever_comes_later(rabbit: Rabbit) -> None:
    async with amqp_lab(rabbit.url, log=True) as lab:
        told = [event(str(n), type=f"slipway.thing.happened{n}.v1") for n in range(5)]
        async with lab.bus.announcer() as announce:
            assert await announce(told) == ids(told), "the log wants what nobody else does"
        read: list[Event] = []
        async with broker(rabbit.url) as channel:
            await channel.set_qos(10)
            stream = await channel.get_queue(f"{lab.name}.log")

            async def keep(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                read.append(decode(message.body))
                await message.ack()

            await stream.consume(keep, arguments={"x-stream-offset": "first"})
            await until(lambda: len(read) == len(told))
    assert read == told


async def test_a_queue_that_is_not_lasting_goes_away_soon_after_its_subscriber(
    lab: AmqpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "EXPIRES", 200)
    async with lab.bus.announcer() as announce:
        async with listening(announce, Listener(lab, "one", lasting=False)):
            pass
        async with asyncio.timeout(20):
            while await announce([event()]):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("silences", "kept"), [(1, True), (2, False)])
async def test_a_queue_that_never_answers_is_made_anew(
    lab: AmqpLab, monkeypatch: pytest.MonkeyPatch, silences: int, kept: bool
) -> None:
    monkeypatch.setattr(consumer, "CALL", 1.5)
    monkeypatch.setattr(consumer, "SILENCES", 2)
    listener, before, told = Listener(lab, "one"), event(), event()
    consume, calls = aio_pika.Queue.consume, 0

    async def silent_at_first(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= silences:
            await asyncio.Event().wait()
        return await consume(*args, **kwargs)

    async with lab.bus.announcer() as announce:
        async with listening(announce, Listener(lab, "one")):
            pass
        await announce([before])
        monkeypatch.setattr(aio_pika.Queue, "consume", silent_at_first)
        async with listening(announce, listener):
            await announce([told])
            await listener.saw(told)
    assert (before.id in listener.ids) == kept


def test_every_queue_says_all_that_releases_differ_in() -> None:
    lasting, passing = (arguments("slipway", lasting=lasting) for lasting in (True, False))
    assert (lasting["x-queue-type"], passing["x-queue-type"]) == ("quorum", "classic")
    assert lasting["x-delivery-limit"] >= 100, "deaths of consumers are counted too"
    assert lasting["x-dead-letter-exchange"] == "slipway.parked"
    assert lasting["x-overflow"] == "reject-publish", "what must not be lost is refused"
    assert passing["x-overflow"] == "drop-head"
    assert passing["x-expires"]


def test_attempts_to_connect_grow_apart_and_never_fall_into_step() -> None:
    assert all(0 < backoff(n) <= 5 for n in range(2000))
    assert len({backoff(20) for _ in range(20)}) > 1
    assert max(backoff(0) for _ in range(50)) < min(backoff(9) for _ in range(50))


async def test_ids_come_in_the_order_of_the_events_whichever_is_confirmed_first(
    rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed, last = publisher._confirmed, asyncio.Event()

    async def late(exchange: Any, topic: str, sent: aio_pika.Message) -> bool:
        """The first answer is heard when all others have been."""
        first = sent.body == encode(told[0])
        have = await confirmed(exchange, topic, sent)
        if first:
            await last.wait()
        elif sent.body == encode(told[-1]):
            last.set()
        return have

    monkeypatch.setattr(publisher, "_confirmed", late)
    async with amqp_lab(rabbit.url) as lab, lab.bus.announcer() as announce:
        told = [event(str(n)) for n in range(3)]
        async with listening(announce, Listener(lab, "one")):
            assert await announce(told) == ids(told)


async def test_a_broker_killed_and_started_again_still_has_what_it_confirmed(
    tmp_path: Path,
) -> None:
    with private(tmp_path) as server:
        async with open_amqp(server.url, pauses=PAUSES) as bus:
            lab = AmqpLab(server.url, "slipway", bus)
            listener = Listener(lab, "one")
            async with bus.announcer() as announce:
                async with listening(announce, Listener(lab, "one")):
                    pass
                await until(lambda: registered(tmp_path, "slipway.one"))
                told = [event(str(n)) for n in range(20)]
                assert await announce(told) == ids(told)
                await asyncio.to_thread(server.kill)
                with pytest.raises(Transient):
                    await announce([event()])
                listener.begin()
                await asyncio.to_thread(server.restart)
                await listener.saw(*told)
                await listener.stop()


def registered(folder: Path, queue: str) -> bool:
    """Whether the broker has written down that it has the queue; it takes half a second."""
    files = folder.glob("data/*/quorum/*/names.dets")
    return any(queue.encode() in file.read_bytes() for file in files)
