"""An asynchronous stream as a file that a thread reads, a little ahead of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Final, TypeVar

from shared.errors import Transient

T = TypeVar("T")

AHEAD: Final = 8  # chunks


class Feed:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | BaseException] = asyncio.Queue(AHEAD)
        self._held = memoryview(b"")
        self._over = False

    def read(self, size: int, /) -> bytes:
        """In the thread: up to `size` bytes, none at the end. Raises what the stream raised."""
        if not self._held and not self._over:
            chunk = asyncio.run_coroutine_threadsafe(self._queue.get(), self._loop).result()
            if isinstance(chunk, BaseException):
                self._over = True
                raise chunk
            self._held, self._over = memoryview(chunk), not chunk
        part, self._held = self._held[:size], self._held[size:]
        return bytes(part)

    async def pump(self, chunks: AsyncIterable[bytes]) -> None:
        try:
            async for chunk in chunks:
                if chunk:
                    await self._queue.put(chunk)
        except Exception as error:  # the reader's to handle, in its own thread
            await self._queue.put(error)
        else:
            await self._queue.put(b"")

    def stop(self) -> None:
        """Whatever the thread waits for, it gets an error instead."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(Transient("stopped"))


async def read_by(work: Callable[[Feed], T], chunks: AsyncIterable[bytes]) -> T:
    """What `work` makes of the stream, in a thread, which has ended when this returns."""
    feed = Feed()
    pumping = asyncio.create_task(feed.pump(chunks))
    working = asyncio.create_task(asyncio.to_thread(work, feed))
    try:
        return await asyncio.shield(working)
    finally:
        pumping.cancel()
        feed.stop()
        await asyncio.gather(pumping, working, return_exceptions=True)
