"""A cluster that plays a script, in a time of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from services.scheduler.drivers.kubernetes.answers import Event, Page
from services.scheduler.drivers.kubernetes.informer import Informer
from services.scheduler.drivers.kubernetes.kinds import CONFIGMAPS, Kind
from services.scheduler.drivers.kubernetes.metadata import Metadata, Seen
from services.scheduler.drivers.kubernetes.picture import Change

S = TypeVar("S")

# a number lets so many seconds pass
Watch: TypeAlias = Sequence[Event[Seen] | Exception | float]
Listed: TypeAlias = Page[Seen] | Exception


def thing(name: str, version: int | str, uid: str = "") -> Seen:
    return Seen(
        metadata=Metadata(
            name=name, namespace="n", uid=uid or f"uid-{name}", resource_version=str(version)
        )
    )


def event(
    type: Literal["ADDED", "MODIFIED", "DELETED"], name: str, version: int | str, uid: str = ""
) -> Event[Seen]:
    return Event(type=type, object=thing(name, version, uid), version=str(version))


def bookmark(version: int) -> Event[Seen]:
    return Event(type="BOOKMARK", object=None, version=str(version))


def page(version: int | str, *things: Seen, token: str = "") -> Page[Seen]:
    return Page(items=things, version=str(version), token=token)


class Script:
    """Lists and watches answer one after the other; the last list answers for ever."""

    def __init__(self, lists: Sequence[Listed], watches: Sequence[Watch]) -> None:
        self._lists = list(lists)
        self._watches = list(watches)
        self.now = 1000.0
        self.listed: list[float] = []  # when a list began
        self.tokens: list[str] = []
        self.watched: list[tuple[float, str]] = []  # when, and from which version
        self.over = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)

    async def list(self, kind: Kind, type: type[S], *, token: str, **_: Any) -> Page[S]:
        if not token:
            self.listed.append(self.now)
        self.tokens.append(token)
        answer: Any = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(answer, Exception):
            raise answer
        found: Page[S] = answer
        return found

    async def watch(
        self, kind: Kind, type: type[S], *, version: str, **_: Any
    ) -> AsyncGenerator[Event[S]]:
        self.watched.append((self.now, version))
        if not self._watches:
            self.over.set()
            await asyncio.Event().wait()
        step: Any
        for step in self._watches.pop(0):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                self.now += step
            else:
                yield step

    async def play(self) -> tuple[Informer[Seen], list[tuple[str, str]]]:
        """An informer that has seen it all, and what it told: (name, versions before > after)."""
        told: list[tuple[str, str]] = []

        def changed(change: Change[Seen]) -> None:
            before, after = change.before, change.after
            some = after or before
            assert some
            versions = [each.metadata.resource_version if each else "" for each in (before, after)]
            told.append((some.metadata.name, ">".join(versions)))

        informer = Informer(
            self, CONFIGMAPS, Seen, changed=changed, clock=self.clock, sleep=self.sleep
        )
        running = asyncio.create_task(informer.run())
        ended = asyncio.create_task(self.over.wait())
        await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, ended):
            task.cancel()
        await asyncio.gather(running, ended, return_exceptions=True)
        assert running.cancelled()
        return informer, told
