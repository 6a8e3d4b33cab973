"""What every bus promises, asked of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.bus import Announcer
from shared.errors import Permanent, Transient
from shared.events import Event, JobFailed, VersionReady
from tests.integration.buses import (
    PAUSES,
    Lab,
    Listener,
    LocalLab,
    amqp_lab,
    event,
    ids,
    listening,
    until,
)


@pytest.fixture(params=["local", "amqp"])
def lab_url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "local" else str(request.getfixturevalue("rabbit").url)


@pytest.fixture
async def lab(lab_url: str | None) -> AsyncIterator[Lab]:
    if lab_url is None:
        yield LocalLab()
    else:
        async with amqp_lab(lab_url) as lab:
            yield lab


@pytest.fixture
async def announce(lab: Lab) -> AsyncIterator[Announcer]:
    async with lab.bus.announcer() as announce:
        yield announce


async def test_an_announced_event_is_handled_once_and_whole(lab: Lab, announce: Announcer) -> None:
    listener, told = Listener(lab, "one"), event()
    async with listening(announce, listener):
        assert await announce([told]) == [told.id]
        await listener.saw(told)
    assert listener.seen == [told]


async def test_a_failing_handler_is_tried_again_until_it_succeeds(
    lab: Lab, announce: Announcer
) -> None:
    async def third_time_lucky(_: Event) -> None:
        if len(listener.seen) < 3:
            raise Transient("not yet")

    listener = Listener(lab, "one", handler=third_time_lucky)
    async with listening(announce, listener):
        await announce([told := event()])
        await until(lambda: len(listener.seen) == 3)
    assert listener.ids == [told.id] * 3


async def test_an_event_that_fails_five_times_is_parked_with_its_reason(
    lab: Lab, announce: Announcer
) -> None:
    async def fails(_: Event) -> None:
        raise OSError("no such luck")

    listener, told = Listener(lab, "one", handler=fails), event()
    async with listening(announce, listener):
        await announce([told])
        assert await lab.parked(1) == [(told.id, "OSError: no such luck")]
    assert listener.ids == [told.id] * 5 == [told.id] * (len(PAUSES) + 1)


async def test_a_permanent_failure_is_parked_at_once(lab: Lab, announce: Announcer) -> None:
    async def refuses(_: Event) -> None:
        raise Permanent("never")

    listener, told = Listener(lab, "one", handler=refuses), event()
    async with listening(announce, listener):
        await announce([told])
        assert await lab.parked(1) == [(told.id, "permanent: never")]
    assert listener.ids == [told.id]


async def test_a_failing_event_does_not_keep_others_waiting(lab: Lab, announce: Announcer) -> None:
    healthy = [event(f"healthy-{n}") for n in range(20)]
    done: list[str] = []

    async def fails_for_one(given: Event) -> None:
        if given.subject == "poison":
            # it fails for the last time only when all others are through
            await until(lambda: len(done) == len(healthy) or poison_tries() < 5)
            raise OSError("poison")
        done.append(given.id)

    def poison_tries() -> int:
        return sum(given.subject == "poison" for given in listener.seen)

    listener = Listener(lab, "one", handler=fails_for_one, at_once=2)
    async with listening(announce, listener):
        await announce([poison := event("poison"), *healthy])
        assert [id for id, _ in await lab.parked(1)] == [poison.id]
    assert sorted(done) == sorted(ids(healthy))


async def test_told_to_stop_it_finishes_what_is_in_hand_and_takes_nothing_new(
    lab: Lab, announce: Announcer
) -> None:
    finish = asyncio.Event()

    async def slow(_: Event) -> None:
        await finish.wait()

    first, second = event("first"), event("second")
    listener, successor = Listener(lab, "one", handler=slow), Listener(lab, "one")
    async with listening(announce, listener):
        await announce([first])
        await listener.saw(first)
        listener.stopping.set()
        await announce([second])
        finish.set()
    assert listener.ids == [first.id]
    async with listening(announce, successor):
        await successor.saw(second)
    assert successor.ids == [second.id], "the first was done, the second was not touched"


async def test_M06_what_a_dying_subscriber_had_in_hand_goes_to_the_next(
    lab: Lab, announce: Announcer
) -> None:
    async def hangs(_: Event) -> None:
        await asyncio.Event().wait()

    told = [event(str(n)) for n in range(10)]
    dying, next_one = Listener(lab, "one", handler=hangs, at_once=3), Listener(lab, "one")
    async with listening(announce, next_one):  # so that the queue is there
        pass
    next_one = Listener(lab, "one")
    dying.begin()
    await announce(told)
    await until(lambda: len(dying.seen) == 3)
    await dying.died()
    async with listening(announce, next_one):
        await next_one.saw(*told)
    assert sorted(next_one.ids) == sorted(ids(told))


async def test_a_retry_that_waits_does_not_hold_up_the_end(
    lab: Lab, announce: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: Event) -> None:
        raise Transient("later")

    monkeypatch.setattr(lab.bus, "_pauses", (600.0,))
    listener, successor, told = Listener(lab, "one", handler=fails), Listener(lab, "one"), event()
    async with listening(announce, listener):
        await announce([told])
        await listener.saw(told)
    async with listening(announce, successor):
        await successor.saw(told)
    assert listener.ids == successor.ids == [told.id]


async def test_a_topic_matches_whole_words(lab: Lab, announce: Announcer) -> None:
    wide = Listener(lab, "one", "slipway.#")
    narrow = Listener(lab, "two", "slipway.job.failed.v1", "slipway.job.queued.*")
    async with listening(announce, wide, narrow):
        failed, ready = event(type=JobFailed.type), event(type=VersionReady.type)
        assert await announce([ready, failed]) == [ready.id, failed.id]
        await wide.saw(ready, failed)
        await narrow.saw(failed)
    assert narrow.ids == [failed.id]


async def test_an_event_that_matches_two_topics_of_a_queue_comes_once(
    lab: Lab, announce: Announcer
) -> None:
    listener, first, last = Listener(lab, "one", "slipway.job.#", "#"), event(), event()
    async with listening(announce, listener):
        await announce([first])
        await announce([last])
        await listener.saw(first, last)
    assert sorted(listener.ids) == sorted([first.id, last.id])


async def test_subscribers_of_one_queue_share_its_events(lab: Lab, announce: Announcer) -> None:
    both_busy = asyncio.Barrier(2)

    async def together(_: Event) -> None:
        await both_busy.wait()

    listeners = [Listener(lab, "one", handler=together, at_once=1) for _ in range(2)]
    told = [event(str(n)) for n in range(6)]
    async with listening(announce, *listeners):
        await announce(told)
        await until(lambda: sum(len(listener.seen) for listener in listeners) == 6)
    assert sorted(listeners[0].ids + listeners[1].ids) == sorted(ids(told))
    assert [len(listener.seen) for listener in listeners] == [3, 3]


async def test_every_queue_gets_every_event(lab: Lab, announce: Announcer) -> None:
    listeners = [Listener(lab, name) for name in ("one", "two", "three")]
    told = [event(str(n)) for n in range(5)]
    async with listening(announce, *listeners):
        await announce(told)
        for listener in listeners:
            await listener.saw(*told)
    assert [sorted(listener.ids) for listener in listeners] == [sorted(ids(told))] * 3


async def test_one_at_a_time_keeps_the_order_also_through_failures(
    lab: Lab, announce: Announcer
) -> None:
    async def fails_at_first(given: Event) -> None:
        if listener.ids.count(given.id) == 1:
            raise Transient("once more")

    listener = Listener(lab, "one", handler=fails_at_first, at_once=1)
    told = [event(str(n)) for n in range(30)]
    async with listening(announce, listener):
        await announce(told[:20])
        await announce(told[20:])
        await until(lambda: len(listener.seen) == 60)
    assert listener.ids == [id for id in ids(told) for _ in range(2)]


async def test_one_at_a_time_keeps_the_order_also_from_one_subscriber_to_the_next(
    lab: Lab, announce: Announcer
) -> None:
    async def hangs(_: Event) -> None:
        await asyncio.Event().wait()

    told = [event(str(n)) for n in range(10)]
    dying = Listener(lab, "one", handler=hangs, at_once=1)
    async with listening(announce, Listener(lab, "one")):  # so that the queue is there
        pass
    dying.begin()
    await announce(told)
    await dying.saw(told[0])
    await dying.died()
    successor = Listener(lab, "one", at_once=1)
    async with listening(announce, successor):
        await successor.saw(*told)
    assert successor.ids == ids(told)


async def test_at_most_so_many_handlers_run_at_once(lab: Lab, announce: Announcer) -> None:
    running = highest = 0

    async def counts(_: Event) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.005)
        running -= 1

    listener = Listener(lab, "one", handler=counts, at_once=3)
    told = [event(str(n)) for n in range(30)]
    async with listening(announce, listener):
        await announce(told)
        await listener.saw(*told)
    assert highest == 3


async def test_M12_an_event_that_no_queue_wants_is_not_announced(
    lab: Lab, announce: Announcer
) -> None:
    listener = Listener(lab, "one", "slipway.job.#")
    async with listening(announce, listener):
        wanted, unwanted = event(), event(type=VersionReady.type)
        assert await announce([unwanted, wanted, unwanted]) == [wanted.id]
    assert await announce([]) == []


async def test_a_lasting_queue_collects_while_nobody_subscribes(
    lab: Lab, announce: Announcer
) -> None:
    async with listening(announce, Listener(lab, "one")):
        pass
    told = [event(str(n)) for n in range(3)]
    assert await announce(told) == ids(told)
    successor = Listener(lab, "one")
    async with listening(announce, successor):
        await successor.saw(*told)


async def test_the_same_event_announced_twice_comes_twice(lab: Lab, announce: Announcer) -> None:
    listener, told = Listener(lab, "one"), event()
    async with listening(announce, listener):
        assert await announce([told, told]) == [told.id, told.id]
        await until(lambda: listener.ids == [told.id, told.id])


async def test_a_queue_that_does_not_last_is_a_queue_like_the_others_while_it_is_there(
    lab: Lab, announce: Announcer
) -> None:
    async def fails_for_some(given: Event) -> None:
        if given.subject == "twice" and listener.ids.count(given.id) == 1:
            raise Transient("once more")
        if given.subject == "never":
            raise Permanent("never")

    listener = Listener(lab, "one", handler=fails_for_some, at_once=1, lasting=False)
    told = [event(subject) for subject in ("a", "twice", "b", "never", "c")]
    async with listening(announce, listener):
        assert await announce(told) == ids(told)
        assert await lab.parked(1) == [(told[3].id, "permanent: never")]
        await listener.saw(*told)
    assert [one.subject for one in listener.seen] == ["a", "twice", "twice", "b", "never", "c"]
