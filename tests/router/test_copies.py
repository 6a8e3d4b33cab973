"""Several copies of one replica: who is asked, who is left alone, and copies that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest

import services.router.copies
from services.router.copies import LONGEST, MANY, SHORTEST, TRIAL, Copies, Copy
from services.router.door import Options
from services.router.gate import Gate
from shared.address import Address
from shared.endpoint import Serving
from shared.lifecycle import State
from tests.router.conftest import PREFIX, Router, route, running
from tests.router.keeper import JOB, KEY, foe, guessing, keeper
from tests.router.origin import Origin, Script, ok, origin, says
from tests.router.test_load import held


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def copies(count: int, clock: Clock | None = None) -> Copies:
    found = Copies(route().job, (KEY,), clock or Clock(), Random(7))
    take(found, *range(count))
    return found


def take(found: Copies, *numbers: int, **changes: object) -> None:
    found.take(route(addresses=tuple(Address(f"http://c{n}:1") for n in numbers), **changes))


def all_of(found: Copies) -> list[Copy]:
    tried: list[Copy] = []
    while (copy := found.pick(tried)) is not None:
        tried.append(copy)
    return tried


def names(found: Copies) -> set[str]:
    return {copy.address for copy in all_of(found)}


def test_who_has_least_in_hand_is_asked_and_ties_are_broken_by_chance() -> None:
    found = copies(5)
    for copy in all_of(found):
        copy.inside = 2
    for quiet in all_of(found)[1:3]:
        quiet.inside = 1
    picked = {found.pick() for _ in range(100)}
    assert len(picked) == 2
    assert {copy.inside for copy in picked if copy} == {1}


def test_among_many_the_load_is_spread_evenly_enough() -> None:
    found = copies(4 * MANY)
    for _ in range(40 * MANY):
        copy = found.pick()
        assert copy is not None
        copy.inside += 1
    assert max(copy.inside for copy in all_of(found)) <= 14


def test_each_is_tried_once() -> None:
    found = copies(MANY + 5)
    assert len({id(copy) for copy in all_of(found)}) == MANY + 5
    assert all_of(copies(0)) == []


def test_who_was_missed_is_left_alone_longer_each_time_until_it_is_reached() -> None:
    clock = Clock()
    found = copies(2, clock)
    bad = all_of(found)[0]
    for seconds in (SHORTEST, 2 * SHORTEST, 4 * SHORTEST):
        found.missed(bad, "refuses")
        found.missed(bad, "refuses")  # another request that was on its way
        clock.now += seconds * 0.99
        assert found.pick() is not bad
        clock.now += seconds * 0.02
        assert bad in all_of(found)
    for _ in range(20):
        found.missed(bad, "refuses")
        clock.now = bad.until
    found.missed(bad, "refuses")
    assert bad.until == clock.now + LONGEST
    found.reached(bad)
    assert bad in all_of(found)
    found.missed(bad, "refuses")
    assert bad.until == clock.now + SHORTEST


def test_the_only_one_is_never_left_alone() -> None:
    found = copies(1)
    (only,) = all_of(found)
    found.missed(only, "refuses")
    assert found.pick() is only


def test_while_all_are_left_alone_one_is_tried_now_and_then() -> None:
    clock = Clock()
    found = copies(3, clock)
    for copy in all_of(found):
        for _ in range(5):
            found.missed(copy, "refuses")
            clock.now = copy.until
        found.missed(copy, "refuses")
    clock.now = min(copy.until for copy in found._copies) - 10
    tried = [found.pick() for _ in range(100)]
    assert len([copy for copy in tried if copy]) == 1
    clock.now += TRIAL
    assert found.pick() is not None
    assert found.pick() is None


def test_news_keep_what_is_known_of_those_who_stay() -> None:
    found = copies(3)
    for copy in all_of(found):
        copy.inside = 1
    take(found, 2, 3)
    assert {copy.address: copy.inside for copy in all_of(found)} == {
        "http://c2:1": 1,
        "http://c3:1": 0,
    }
    take(found, 2, 3, attempt=2)
    assert [copy.inside for copy in all_of(found)] == [0, 0]
    take(found, 2, 3, attempt=2, state=State.STOPPING)
    assert all_of(found) == []
    found.take(None)
    assert len(found) == 0


async def test_a_gate_lets_those_in_who_wait_when_a_copy_comes_and_fewer_when_one_goes() -> None:
    gate = Gate(Serving(concurrency=2, waiting=9))
    gate.resize(1)
    for _ in range(2):
        assert await gate.enter()
    waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
    while gate.queued < 3:
        await asyncio.sleep(0)
    gate.resize(2)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (gate.inside, gate.queued, gate.places) == (4, 1, 4)
    gate.resize(1)
    for _ in range(2):
        gate.leave(0)
    assert (gate.inside, gate.queued) == (2, 1)
    gate.leave(0)
    await asyncio.wait(waiting)
    assert (gate.inside, gate.queued) == (2, 0)
    for _ in range(2):
        gate.leave(0)
    assert gate.idle
    gate.resize(0)
    assert gate.places == 2


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with running(Options(patience=0.0, keys=(KEY,))) as found:
        yield found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


async def test_each_copy_has_as_many_requests_as_the_endpoint_allows(router: Router) -> None:
    release = asyncio.Event()
    async with AsyncExitStack() as stack:
        origins = [
            await stack.enter_async_context(origin(held(release, [])))  # type: ignore[arg-type]
            for _ in range(4)
        ]
        three = tuple(one.address for one in origins[:3])
        serving = Serving(concurrency=2, waiting=9)
        router.route(addresses=three, serving=serving)
        asking = [asyncio.create_task(router.ask(PREFIX)) for _ in range(8)]
        gates = router.door._gates
        await until(lambda: bool(gates) and gates[route().job].queued == 2)
        await until(lambda: [len(one.seen) for one in origins] == [2, 2, 2, 0])
        router.route(addresses=(*three, origins[3].address), serving=serving)
        await until(lambda: [len(one.seen) for one in origins] == [2, 2, 2, 2])
        release.set()
        assert {got.status for got in await asyncio.gather(*asking)} == {200}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_refuses_is_passed_over_whatever_is_asked(router: Router, method: str) -> None:
    async with origin() as dead, origin() as live:
        await dead.shut()
        router.route(addresses=(dead.address, live.address))
        for _ in range(20):
            assert (await router.ask(PREFIX, method=method, body=b"x")).status == 200
        assert len(live.seen) == 20


async def test_what_was_sent_to_one_copy_is_not_sent_to_another_unless_it_is_safe(
    router: Router,
) -> None:
    async with origin(says()) as first, origin(says()) as second:
        router.route(addresses=(first.address, second.address))
        got = await router.ask(PREFIX, method="POST", body=b"x")
        assert (got.status, got.problem) == (502, "endpoint-failed")
        assert len(first.seen) + len(second.seen) == 1
        first.seen.clear()
        second.seen.clear()
        assert (await router.ask(PREFIX)).status == 502
        assert (len(first.seen), len(second.seen)) == (1, 1)


async def test_a_request_that_was_dropped_is_not_said_to_have_reached_nobody(
    router: Router,
) -> None:
    async with origin() as dead, origin(says()) as drops:
        await dead.shut()
        router.route(addresses=(dead.address, drops.address))
        for _ in range(4):
            got = await router.ask(PREFIX)
            assert (got.status, got.problem) == (502, "endpoint-failed")


async def test_when_none_can_be_reached_the_answer_is_503_at_once_and_few_are_dialled(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.router.copies, "SHORTEST", 1000.0)
    monkeypatch.setattr(services.router.copies, "LONGEST", 1000.0)
    monkeypatch.setattr(services.router.copies, "TRIAL", 1000.0)
    async with foe(guessing) as one, foe(guessing) as two:
        router.route(addresses=(one.address, two.address))
        for _ in range(50):
            got = await router.ask(PREFIX, method="POST", body=b"x")
            assert (got.status, got.problem) == (503, "not-reached")
            assert int(got.value("retry-after") or 0) >= 1
        assert one.met + two.met <= 3


async def test_a_job_without_a_copy_that_is_ready_says_so(router: Router) -> None:
    router.route(addresses=())
    got = await router.ask(PREFIX)
    assert (got.status, got.problem) == (503, "not-running")
    assert b"None of its copies" in got.body
    assert int(got.value("retry-after") or 0) >= 1


async def test_what_is_in_hand_at_a_copy_that_leaves_is_finished(router: Router) -> None:
    release = asyncio.Event()
    async with (
        origin(held(release, [])) as old,  # type: ignore[arg-type]
        origin(ok(b"new")) as new,
    ):
        router.route(addresses=(old.address,))
        asking = [asyncio.create_task(router.ask(PREFIX)) for _ in range(3)]
        await until(lambda: len(old.seen) == 3)
        router.route(addresses=(new.address,))
        assert (await router.ask(PREFIX)).body == b"new"
        release.set()
        assert {got.body for got in await asyncio.gather(*asking)} == {b"ok"}
        assert (len(old.seen), len(new.seen)) == (3, 1)


async def test_no_request_fails_and_none_is_done_twice_while_copies_come_and_go() -> None:
    """They go as pods do: some are missed from the route first, some just stop listening."""
    async with (
        running(Options(patience=5.0, keys=(KEY,))) as router,
        AsyncExitStack() as stack,
    ):
        over = asyncio.Event()
        done: list[bytes] = []
        statuses: list[int] = []

        async def client(number: int) -> None:
            count = 0
            while not over.is_set():
                count += 1
                got = await router.ask(PREFIX, method="POST", body=b"%d-%d" % (number, count))
                statuses.append(got.status)

        async def come() -> Origin:
            return await stack.enter_async_context(keeper(noting(done)))

        there = [await come(), await come()]
        tell(router, there)
        clients = [asyncio.create_task(client(n)) for n in range(6)]
        for turn in range(12):
            after = len(statuses)
            there.append(await come())
            if turn % 2:
                leaves = there.pop(0)
                tell(router, there)
                await leaves.shut()
            else:
                leaves = there.pop(0)
                await leaves.shut()
                await until(lambda: len(statuses) > after + 10)  # noqa: B023
                tell(router, there)
            await until(lambda: len(statuses) > after + 20)  # noqa: B023
        over.set()
        await asyncio.gather(*clients)
        assert set(statuses) == {200}
        assert len(done) == len(set(done)) == len(statuses)


def tell(router: Router, there: list[Origin]) -> None:
    router.route(addresses=tuple(one.address for one in there))


def noting(done: list[bytes]) -> Script:
    answer = ok()

    async def script(
        seen: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await answer(seen, reader, writer)  # type: ignore[arg-type]
        done.append(seen.body)  # type: ignore[attr-defined]

    return script


async def test_the_log_names_the_copy_that_can_not_be_reached(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    async with foe(guessing) as stranger, keeper() as true:
        router.route(addresses=(stranger.address, true.address))
        while not stranger.met:
            assert (await router.ask(PREFIX)).status == 200
    assert f"{JOB}-1 at {stranger.address}: Somebody else is at its address." in caplog.text
