"""Listens, and looks after all connections: their number, their time, and their end."""

from __future__ import annotations

import asyncio
from typing import Final

from shared.unary.codes import Reset
from shared.unary.serving.connection import Connection
from shared.unary.serving.hall import Hall
from shared.unary.serving.limits import Limits
from shared.unary.serving.listening import Listening
from shared.unary.serving.method import Methods

ENDING: Final = 64  # connections beyond the limit, while others say their last words
CANCELLED: Final = 1.0  # seconds for methods to notice that they are


class Server:
    """Made in the loop that it serves in. `start` it, and `stop` it."""

    def __init__(self, methods: Methods, limits: Limits | None = None) -> None:
        self._hall = Hall(methods, limits or Limits())
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._listening: Listening | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, host: str, port: int) -> int:
        """Listen; which port that is. Raises OSError."""
        self._listening = Listening(host, port, self._connection)
        self._timer = self._loop.call_later(self._hall.limits.tick, self._look)
        return self._listening.port

    async def stop(self, grace: float) -> None:
        """Take no more connections, tell clients to go elsewhere, give what is in hand `grace`
        seconds, and end."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.close()
        for connection in list(self._connections):
            connection.leave()
        await self._wait(grace)
        for connection in list(self._connections):
            connection.end(Reset.NO_ERROR, "")
        if self._hall.tasks:
            await asyncio.wait(self._hall.tasks, timeout=CANCELLED)
        await self._wait(None)
        if self._timer is not None:
            self._timer.cancel()

    async def _wait(self, seconds: float | None) -> None:
        """Until there are no connections."""
        try:
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            pass

    def _look(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            connection.look(now)
        self._timer = self._loop.call_later(self._hall.limits.tick, self._look)

    def _connection(self) -> Connection:
        return Connection(self._hall, self._made, self._lost)

    def _made(self, connection: Connection) -> bool:
        most = self._hall.limits.connections
        full = len(self._connections) >= most and not self._make_room()
        self._connections.add(connection)
        return not full and len(self._connections) <= most + ENDING

    def _make_room(self) -> bool:
        """Whoever was idle longest goes, and asks anew when there is a need."""
        idle = [one for one in self._connections if one.idle]
        oldest = min(idle, key=lambda one: one.life.busy, default=None)
        if oldest is None:
            return False
        oldest.end(Reset.NO_ERROR, "others wait")
        return True

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
