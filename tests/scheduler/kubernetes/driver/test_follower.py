from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import pytest

from services.scheduler.drivers.kubernetes import follower as followers
from services.scheduler.drivers.kubernetes import tail
from services.scheduler.drivers.kubernetes.errors import Away, Missing, Rejected
from services.scheduler.drivers.kubernetes.follower import Follower, Heap
from services.scheduler.drivers.kubernetes.objects import Pod
from shared.database.logs import Line
from tests.scheduler.kubernetes.driver.pods import ended, pod, running, waiting


class Node:
    """Keeps the last two lives of one container, as kubelet does."""

    def __init__(self) -> None:
        self.lives: list[list[str]] = [[]]
        self.fails: list[Exception] = []
        self.asked: list[tuple[str, bool]] = []
        self.over = False

    async def log(
        self, pod: str, container: str, *, since: str, previous: bool, follow: bool
    ) -> AsyncGenerator[bytes]:
        self.asked.append((since, previous))
        if self.fails:
            raise self.fails.pop(0)
        if previous and len(self.lives) < 2:
            raise Rejected("previous terminated container not found")
        life = self.lives[-2 if previous else -1]
        sent = 0
        while True:
            for line in life[sent:]:
                if line[:19] >= since[:19]:
                    yield line.encode()
            sent = len(life)
            if not follow or life is not self.lives[-1] or self.over:
                return
            await asyncio.sleep(0)

    def say(self, *texts: str) -> None:
        for text in texts:
            number = sum(map(len, self.lives))
            self.lives[-1].append(f"2026-01-01T00:00:{number:02}.5Z {text}")


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def made(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Follower]]:
    monkeypatch.setattr(tail, "AGAIN", 0.001)
    opened: list[Follower] = []

    def make(after: int = 0, **seen: str) -> Follower:
        opened.append(Follower(node, after, {k.replace("__", "/"): v for k, v in seen.items()}))
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


def alive(restarts: int = 0) -> Pod:
    return pod(name="p", server=running(restartCount=restarts))


async def taken(follower: Follower, many: int, after: int = 0) -> list[Line]:
    async with asyncio.timeout(5):
        while len(lines := follower.take(after)) < many:
            await asyncio.sleep(0.001)
    return list(lines)


async def test_lines_are_numbered_and_have_the_place_they_came_from(
    node: Node, made: Callable[..., Follower]
) -> None:
    follower = made(after=5)
    follower.see([alive()])
    node.say("one", "two")
    lines = await taken(follower, 2, after=5)
    assert [(line.line, line.text, line.source) for line in lines] == [
        (6, "one", "p/0"),
        (7, "two", "p/0"),
    ]
    assert lines[0].stamp == "2026-01-01T00:00:00.500000000Z"
    assert follower.take(6) == lines[1:]
    assert follower.goes_on(7)
    assert not follower.goes_on(3)
    assert not follower.goes_on(9)


async def test_a_life_that_nobody_read_is_read_before_the_next(
    node: Node, made: Callable[..., Follower]
) -> None:
    node.say("old")
    node.lives.append([])
    node.say("new")
    follower = made()
    follower.see([alive(restarts=1)])
    lines = await taken(follower, 2)
    assert [(line.text, line.source) for line in lines] == [("old", "p/0"), ("new", "p/1")]


async def test_no_line_comes_twice_from_life_to_life(
    node: Node, made: Callable[..., Follower]
) -> None:
    follower = made()
    for life in range(4):
        follower.see([alive(restarts=life)])
        node.say(f"{life} begins")
        await taken(follower, 2 * life + 1)
        node.say(f"{life} ends")
        node.lives.append([])
        follower.see([pod(name="p", server={"restartCount": life, "state": ended(1)})])
        await asyncio.sleep(0.01)
    follower.see([alive(restarts=4)])
    lines = await taken(follower, 7)
    assert [line.text for line in lines] == sorted({line.text for line in lines})


async def test_another_one_goes_on_after_the_last_line_that_was_kept(
    node: Node, made: Callable[..., Follower]
) -> None:
    node.say("zero", "one", "two")
    follower = made(after=2, p__0="2026-01-01T00:00:01.500000000Z")
    follower.see([alive()])
    assert [line.text for line in await taken(follower, 1, after=2)] == ["two"]
    assert node.asked[0] == ("2026-01-01T00:00:01Z", False)


async def test_trouble_on_the_way_loses_and_doubles_nothing(
    node: Node, made: Callable[..., Follower]
) -> None:
    node.fails = [Away("reset"), Rejected("ContainerCreating"), Away("again")]
    follower = made()
    node.say("one")
    follower.see([alive()])
    node.say("two")
    assert [line.text for line in await taken(follower, 2)] == ["one", "two"]


async def test_what_a_node_says_in_the_log_itself_is_no_line_of_it(
    node: Node, made: Callable[..., Follower]
) -> None:
    node.say("one")
    node.lives[-1].append(
        'rpc error: code = NotFound desc = an error occurred when try to find "c"'
    )
    follower = made()
    follower.see([alive()])
    await taken(follower, 1)
    node.lives[-1].pop()  # it was another moment's trouble
    node.say("two")
    assert [line.text for line in await taken(follower, 2)] == ["one", "two"]
    node.lives[-1].append("unable to retrieve container logs for containerd://c")
    follower.see([pod(name="p", server={"state": ended(1)})])
    await follower.settled()
    assert [line.text for line in follower.take(0)] == ["one", "two"]


async def test_what_is_not_collected_stops_the_reading(
    node: Node, made: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "MOST", 3)
    follower = made()
    follower.see([alive()])
    node.say(*map(str, range(10)))
    await taken(follower, 3)
    await asyncio.sleep(0.02)
    assert len(follower.take(0)) == 3
    assert [line.text for line in await taken(follower, 3, after=3)] == ["3", "4", "5"]


async def test_the_last_words_of_what_has_ended_are_waited_for(
    node: Node, made: Callable[..., Follower]
) -> None:
    node.say("last")
    follower = made()
    follower.see([pod(name="p", server={"state": ended(1)})])
    await follower.settled()
    assert [line.text for line in follower.take(0)] == ["last"]


async def test_a_container_that_has_not_begun_is_asked_for_nothing(
    node: Node, made: Callable[..., Follower]
) -> None:
    follower = made()
    follower.see([pod(name="p", server=waiting("ContainerCreating"))])
    await asyncio.sleep(0.01)
    assert node.asked == []
    node.say("hello")
    follower.see([alive()])
    assert [line.text for line in await taken(follower, 1)] == ["hello"]


async def test_an_evicted_copy_is_told_of_once(node: Node, made: Callable[..., Follower]) -> None:
    node.fails = [Missing("gone")] * 9
    evicted = pod(
        name="p",
        phase="Failed",
        reason="Evicted",
        metadata={"creationTimestamp": "2026-01-01T00:00:00Z"},
    )
    follower = made()
    for _ in range(3):
        follower.see([evicted])
    [line] = await taken(follower, 1)
    assert (line.stream, line.text) == ("platform", "its copy p was evicted")
    again = made(after=1, p__end=line.stamp)
    again.see([evicted])
    assert list(again.take(1)) == []


async def test_lines_that_are_long_or_no_text_are_tamed(
    node: Node, made: Callable[..., Follower]
) -> None:
    follower = made()
    follower.see([alive()])
    node.say("x" * 20_000 + "\0", "\0")
    lines = await taken(follower, 2)
    assert len(lines[0].text) == tail.LONGEST
    assert lines[1].text == ""


async def test_a_log_that_can_not_be_read_is_asked_for_more_and_more_seldom(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 12:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(tail.Tail, "_sleep", staticmethod(sleep))
    for trouble in (Away("its machine is away"), Rejected("no such container")):
        rests.clear()
        enough.clear()
        node.fails = [trouble] * 12
        follower = Follower(node, 0, {})
        follower.see([pod(server=running())])
        async with asyncio.timeout(10):
            while not enough.is_set():
                follower.see([pod(server=running())])
                await asyncio.sleep(0)
        await follower.close()
        assert rests == [min(tail.SELDOM, tail.AGAIN * 2**number) for number in range(12)]


async def test_all_that_waits_is_bounded_and_each_still_has_its_share(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "ALL", 20_000)
    monkeypatch.setattr(followers, "SHARE", 2_000)
    heap = Heap()
    several = [Follower(node, 0, {}, heap) for _ in range(5)]

    async def fill(follower: Follower) -> None:
        for number in range(200):
            await follower.put("a/0", f"2026-01-01T00:00:00.{number:09}Z", "x" * 100)

    filling = [asyncio.create_task(fill(one)) for one in several]
    for _ in range(2000):
        await asyncio.sleep(0)
    share = 2_000 + followers.LINE + 100
    assert heap.bytes <= 20_000 + 5 * share
    after = [0] * 5
    async with asyncio.timeout(10):
        while not all(task.done() for task in filling):
            for number, follower in enumerate(several):
                if lines := follower.take(after[number]):
                    after[number] = lines[-1].line
            await asyncio.sleep(0)
    for follower in several:
        await follower.close()
    assert heap.bytes == 0


async def test_copies_that_are_gone_are_not_remembered(node: Node) -> None:
    follower = Follower(node, 0, {})
    node.over = True
    for number in range(20):
        follower.see([pod(name=f"p-{number}", server=running())])
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while len(follower._tails) > 1:
            follower.see([pod(name="p-19", server=running())])
            await asyncio.sleep(0.01)
    await follower.close()
