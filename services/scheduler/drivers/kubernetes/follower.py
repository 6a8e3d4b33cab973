"""Follows what the copies of one replica print, as numbered lines that wait to be collected.

Nothing is kept here for good: whoever collects keeps each line with its source and stamp, and tells
them to the next follower, in this process or another, which goes on from there. When lines are not
collected, nothing more is read, and the node keeps what it keeps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

from services.scheduler.drivers.kubernetes import reasons
from services.scheduler.drivers.kubernetes.objects import Pod, moment
from services.scheduler.drivers.kubernetes.place import Place, normal
from services.scheduler.drivers.kubernetes.tail import Logs, Tail
from shared.database.logs import Line

PAGE: Final = 1000
MOST: Final = 4000  # lines that wait
BYTES: Final = 8 << 20  # of them
ALL: Final = 64 << 20  # bytes of what waits of all replicas, ...
SHARE: Final = 64 << 10  # ... beyond which each has but so many
LINE: Final = 400  # bytes that a line takes beside its text
SETTLE: Final = 2.0  # seconds that last lines may take to come


class Heap:
    """What waits of all replicas together."""

    def __init__(self) -> None:
        self.bytes = 0


class Follower:
    def __init__(
        self, logs: Logs, after: int, seen: Mapping[str, str], heap: Heap | None = None
    ) -> None:
        """Numbers lines from `after` + 1; `seen` is the last stamp of each source so far."""
        self._logs = logs
        self._heap = heap or Heap()
        self._seen = dict(seen)
        self._next = after + 1
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tails: dict[str, Tail] = {}
        self._told: set[str] = set()

    def goes_on(self, after: int) -> bool:
        """Whether it has the line after number `after`, or will."""
        first = self._lines[0].line if self._lines else self._next
        return first <= after + 1 <= self._next

    def see(self, pods: Sequence[Pod]) -> None:
        """The copies as they are now. One that is not there any more has said all that it will."""
        known = {pod.metadata.name: pod for pod in pods}
        for name, pod in known.items():
            if pod.over and pod.status is not None and pod.status.phase == "Failed":
                self._ended(pod)
            tail = self._tails.get(name)
            if tail is None or tail.uid != pod.metadata.uid:
                if tail is not None:
                    tail.close()
                tail = self._tails[name] = Tail(self._logs, pod, self._place(name), self.put)
            tail.see(pod)
        for name in self._tails.keys() - known.keys():
            self._tails[name].see(None)
            if self._tails[name].task.done():
                del self._tails[name]

    def take(self, after: int) -> Sequence[Line]:
        """Some lines after number `after`. Those up to it have been collected."""
        while self._lines and self._lines[0].line <= after:
            self._weigh(-_weight(self._lines.popleft()))
        self._is_full()
        return [self._lines[at] for at in range(min(PAGE, len(self._lines)))]

    async def settled(self) -> None:
        """Returns when all is read of what has ended, or soon anyway."""
        behind = [tail for tail in self._tails.values() if tail.behind]
        if behind and self._room.is_set():
            waiting = [asyncio.create_task(tail.caught_up.wait()) for tail in behind]
            _, late = await asyncio.wait(waiting, timeout=SETTLE)
            for task in late:
                task.cancel()

    async def collected(self) -> None:
        """Returns when nothing waits any more, or soon anyway."""
        await self.settled()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await self._empty.wait()

    async def close(self) -> None:
        self._weigh(-self._bytes)
        for tail in self._tails.values():
            tail.close()
        await asyncio.gather(*(tail.task for tail in self._tails.values()), return_exceptions=True)

    async def put(self, source: str, stamp: str, text: str) -> None:
        """A line of a copy; waits for room."""
        await self._room.wait()
        self._append("stdout", source, stamp, text)

    def say(self, source: str, stamp: str, text: str) -> None:
        """A word of our own about a copy, once however often it is found out."""
        if self._seen.get(source, "") < stamp and source not in self._told:
            self._told.add(source)
            self._append("platform", source, stamp, text)

    def _append(
        self, stream: Literal["stdout", "platform"], source: str, stamp: str, text: str
    ) -> None:
        at = moment(stamp.partition("Z")[0] + "Z") or datetime.now(UTC)
        line = Line(line=self._next, at=at, stream=stream, text=text, source=source, stamp=stamp)
        self._next += 1
        self._lines.append(line)
        self._weigh(_weight(line))
        self._is_full()

    def _weigh(self, more: int) -> None:
        self._bytes += more
        self._heap.bytes += more

    def _is_full(self) -> None:
        if self._lines:
            self._empty.clear()
        else:
            self._empty.set()
        crowded = self._heap.bytes >= ALL and self._bytes >= SHARE
        if len(self._lines) >= MOST or self._bytes >= BYTES or crowded:
            self._room.clear()
        else:
            self._room.set()

    def _place(self, pod: str) -> Place:
        """Where any life of a copy's server was read last."""
        stamps = (stamp for source, stamp in self._seen.items() if _pod(source) == pod)
        return Place(max(stamps, default=""))

    def _ended(self, pod: Pod) -> None:
        assert pod.status is not None
        name, reason = pod.metadata.name, reasons.of_failed(pod.status)
        stamp = normal(pod.metadata.creation_timestamp or "")
        self.say(f"{name}/end", stamp, f"its copy {name} {reason}")


def _weight(line: Line) -> int:
    return LINE + len(line.text)


def _pod(source: str) -> str:
    return source.partition("/")[0]
