"""Keeps a picture of all objects of one kind: lists them, then watches what happens.

    list ──► watch ──► watch ──► …            each watch lasts WATCH seconds, by agreement
     ▲         │ version too old, a watch that ends at once and says nothing, no word for LONG,
     └─────────┘ or RESYNC is over (at most one list a second, more seldom while they do not help)

A list finds what no event told of, deletions too. A watch that fails is begun again from where we
know everything, unless that is long ago: a list says at once how things are. How old the picture
may be is for who reads it to say: `fresh`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Generic, Protocol, TypeVar

from services.scheduler.drivers.kubernetes.answers import Event, Page
from services.scheduler.drivers.kubernetes.errors import Away, Expired
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.pace import backoff
from services.scheduler.drivers.kubernetes.picture import Change, Key, Known, Picture
from shared.errors import PlatformError

WATCH: Final = 20  # seconds of one watch; a client hears of one that is dead 10 seconds later
LONG: Final = 25.0  # seconds without a word after which a list is worth it
RESYNC: Final = 300.0  # seconds between two lists when all goes well
GAP: Final = 1.0  # seconds between two lists, and between two watches, when nothing does
WAIT: Final = 10.0  # seconds that a server may have us wait, at most
HOLLOW: Final = 2  # watches in a row that end early, having said nothing: then we list

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Known)
S = TypeVar("S")


class Source(Protocol):
    """What it needs of a cluster."""

    async def list(
        self,
        kind: Kind,
        type: type[S],
        *,
        selector: str,
        fields: str,
        token: str,
        everywhere: bool,
    ) -> Page[S]: ...

    def watch(
        self,
        kind: Kind,
        type: type[S],
        *,
        version: str,
        selector: str,
        fields: str,
        seconds: int,
        everywhere: bool,
    ) -> AsyncGenerator[Event[S]]: ...


class Informer(Generic[T]):
    def __init__(
        self,
        source: Source,
        kind: Kind,
        type: type[T],
        *,
        selector: str = "",
        fields: str = "",
        everywhere: bool = False,
        changed: Callable[[Change[T]], None] = lambda change: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """`changed` hears of every change, in order; it must not raise, nor take long."""
        self._source = source
        self._kind = kind
        self._type = type
        self._selector = selector
        self._fields = fields
        self._everywhere = everywhere
        self._changed = changed
        self._clock = clock
        self._sleep = sleep
        self._picture: Picture[T] = Picture()
        self._heard = float("-inf")
        self._listed = float("-inf")  # when the last list began
        self._watched = float("-inf")
        self._hollow = 0
        self._failures = 0
        self.synced = asyncio.Event()  # it has been complete once
        self.trouble = ""  # why it is not fresh, for a person
        self.lists = 0  # begun

    @property
    def objects(self) -> Mapping[Key, T]:
        """By namespace and name. It changes under you whenever you await."""
        return self._picture.objects

    def fresh(self, within: float) -> bool:
        """Whether it was complete once, and the server was heard in the last `within` seconds."""
        return self._clock() - self._heard <= within

    async def run(self) -> None:
        """Until cancelled. Trouble is told in the log, and never ends it."""
        listing = True
        while True:
            wait = 0.0
            try:
                if listing or self._clock() - self._listed >= RESYNC:
                    await self._list()
                listing = False
                listing = await self._watch()
                if self._hollow:
                    wait = self._backoff()
            except PlatformError as error:
                listing = listing or isinstance(error, Expired) or not self.fresh(LONG)
                self._in_trouble(error)
                wait = max(self._backoff(), _asked(error))
            except (
                Exception
            ) as error:  # guarded: a picture that nobody paints any more helps nobody
                log.exception("the picture of %s may be wrong", self._kind.plural)
                self.trouble = repr(error)
                listing, wait = True, self._backoff()
            if wait:
                await self._sleep(wait)

    async def _list(self) -> None:
        """All pages of one list. Raises Expired when it took longer than the server remembers."""
        await self._until(self._listed + GAP)
        self._listed = self._clock()
        self.lists += 1
        items: list[T] = []
        token = ""
        while True:
            page = await self._source.list(
                self._kind,
                self._type,
                selector=self._selector,
                fields=self._fields,
                token=token,
                everywhere=self._everywhere,
            )
            items += page.items
            if not (token := page.token):
                break
        for change in self._picture.replace(items, page.version):
            self._changed(change)
        self._is_heard()
        self.synced.set()

    async def _watch(self) -> bool:
        """One watch, to its end; whether we must list now."""
        await self._until(self._watched + GAP)
        self._watched = began = self._clock()
        told = False
        async with aclosing(
            self._source.watch(
                self._kind,
                self._type,
                version=self._picture.version,
                selector=self._selector,
                fields=self._fields,
                seconds=WATCH,
                everywhere=self._everywhere,
            )
        ) as events:
            async for event in events:
                told = True
                self._is_heard()
                self._hollow = self._failures = 0
                if change := self._picture.take(event):
                    self._changed(change)
        if told or self._clock() - began >= WATCH / 2:
            self._is_heard()
            self._hollow = self._failures = 0
            return False
        self._hollow += 1  # it is no sign that nothing happens
        return self._hollow % HOLLOW == 0

    async def _until(self, due: float) -> None:
        if (wait := due - self._clock()) > 0:
            await self._sleep(wait)

    def _backoff(self) -> float:
        self._failures += 1
        return backoff(self._failures)

    def _is_heard(self) -> None:
        self._heard = self._clock()
        self.trouble = ""

    def _in_trouble(self, error: PlatformError) -> None:
        if self.trouble != str(error):
            log.warning("the picture of %s may be old: %s", self._kind.plural, error)
        self.trouble = str(error)


def _asked(error: PlatformError) -> float:
    """Seconds that the server would have us wait, within reason."""
    return min((isinstance(error, Away) and error.retry_after) or 0.0, WAIT)
