"""The channels to all copies that are asked: one each, opened when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from shared.address import Address
from shared.dial import Failed, Trouble
from shared.unary.channel import Channel
from shared.unary.limits import Limits

OPENING: Final = 5.0  # seconds

Key = tuple[Address, tuple[str, ...]]


class Channels:
    """Whose secrets are others is another, though it has the same address."""

    def __init__(self, limits: Limits | None = None, opening: float = OPENING) -> None:
        self._limits = limits or Limits()
        self._seconds = opening
        self._channels: dict[Key, Channel] = {}
        self._opening: dict[Key, asyncio.Task[Channel]] = {}
        self._tasks: set[asyncio.Task[Channel]] = set()

    def at_hand(self, address: Address, secrets: tuple[str, ...] = ()) -> Channel | None:
        """A channel that takes calls now; None: `open` has to be waited for."""
        channel = self._channels.get((address, secrets))
        return channel if channel is not None and channel.usable() else None

    async def open(self, address: Address, secrets: tuple[str, ...] = ()) -> Channel:
        """A channel that takes calls. Raises Failed, as Channel.open does.

        It is opened once for all who wait for it, and goes on to be opened when they give up.
        """
        if channel := self.at_hand(address, secrets):
            return channel
        key = (address, secrets)
        task = self._opening.get(key)
        if task is None:
            task = self._opening[key] = asyncio.create_task(self._open(key))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled() and not _is_cancelled():
                raise Failed(Trouble.REFUSED, "The connection was closed.") from error
            raise

    async def _open(self, key: Key) -> Channel:
        try:
            channel = await Channel.open(key[0], self._seconds, key[1], limits=self._limits)
            if self._opening.get(key) is not asyncio.current_task():  # its copy has gone meanwhile
                channel.retire()
                return channel
            if old := self._channels.get(key):
                old.retire()
            self._channels[key] = channel
            return channel
        finally:
            if self._opening.get(key) is asyncio.current_task():
                del self._opening[key]

    def keep(self, keys: Collection[Key]) -> None:
        """Let go of all others; what is in hand there goes on to its end."""
        for key in self._channels.keys() - keys:
            self._channels.pop(key).retire()
        for key in self._opening.keys() - keys:
            del self._opening[key]

    async def close(self) -> None:
        """At once: calls in hand fail."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _done(self, task: asyncio.Task[Channel]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left who waits for it


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
