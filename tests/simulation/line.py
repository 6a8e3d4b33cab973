"""PostgreSQL as the simulated processes have it: a real one, and a way to it that fails.

All processes share one real session. A statement outside of a transaction has it for itself, and so
has a whole transaction: transactions follow one another in an order that the seed decides, and none
ever waits for another's locks. (Locks are for the drill, which runs real processes.) What can go
wrong lies around that: the way there and back takes a while, a request is lost before it is carried
out, an answer is lost after that, a process is killed or stands still at any of these moments.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

import asyncpg

from shared.database.pool import Database
from tests.simulation.clock import BEGINS, SET, micros
from tests.simulation.loop import VirtualLoop

T = TypeVar("T")
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ROOT: Final = Path(__file__).parents[2]
NAMES: Final = {
    path.read_text(): path.stem
    for room in ("shared", "services", "tests/simulation")
    for path in sorted((ROOT / room).rglob("*.sql"))
}

HARMLESS: Final = {  # lines have numbers of their own
    "log_keep",
    "prune_logs",
    "purge_logs",
    "sweep_logs",
}


def name(query: str) -> str:
    """Of the file that holds it."""
    return NAMES.get(query) or " ".join(query.split())[:40]


class Way(Protocol):
    """What happens to one process's statements on their way. Each may take a while or raise."""

    async def there(self, what: str, *, inside: bool) -> None: ...

    async def back(self, what: str) -> None: ...

    def check(self) -> None:
        """Raises when the process is dead."""

    @property
    def epoch(self) -> int | None:
        """In which it writes; None when it does not lead."""


class Server:
    """The real session, one user at a time, and the time that it takes it to be."""

    def __init__(self, session: Session, tell: Callable[[str], None]) -> None:
        self._session = session
        self._loop = cast(VirtualLoop, asyncio.get_running_loop())
        self._set = -1.0
        self.tell = tell
        self.gate = asyncio.Lock()
        self.offset = 0.0  # seconds by which its wall clock is off
        self.newest = 0  # epoch
        self.wrong: list[str] = []  # what an older one has written all the same

    async def ask(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Somebody's turn at the session, to the end even if that one is killed meanwhile."""
        asking = asyncio.ensure_future(self._ask(work))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            await asyncio.wait([asking])
            raise

    async def _ask(self, work: Callable[[Session], Awaitable[T]]) -> T:
        now = self._loop.time() + self.offset
        with self._loop.outside():
            if now != self._set and not self._session.is_in_transaction():
                await self._session.execute(SET, micros(BEGINS + timedelta(seconds=now)))
                self._set = now
            return await work(self._session)


class Line:
    """One process's pool of connections, as far as `shared.database.pool.Database` asks for it."""

    def __init__(self, server: Server, way: Way) -> None:
        self._server = server
        self._way = way

    def acquire(self, *, timeout: float | None = None) -> _Acquired:
        return _Acquired(_Connection(self._server, self._way))

    def database(self) -> Database:
        return Database(cast(Any, self))


class _Acquired:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> _Connection:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        pass


class _Connection:
    def __init__(self, server: Server, way: Way) -> None:
        self._server = server
        self._way = way
        self._depth = 0  # of transactions

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        return await self._do(query, values, lambda session: session.fetch(query, *values))

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        return await self._do(query, values, lambda session: session.fetchrow(query, *values))

    async def fetchval(self, query: str, *values: Any) -> Any:
        return await self._do(query, values, lambda session: session.fetchval(query, *values))

    async def execute(self, query: str, *values: Any) -> str:
        return await self._do(query, values, lambda session: session.execute(query, *values))

    async def executemany(self, query: str, values: Sequence[Sequence[Any]]) -> None:
        await self._do(query, values, lambda session: session.executemany(query, values))

    def transaction(self, **how: Any) -> _Transaction:
        return _Transaction(self, self._server, self._way, how)

    def is_in_transaction(self) -> bool:
        return self._depth > 0

    async def _do(
        self, query: str, values: Sequence[Any], work: Callable[[Session], Awaitable[T]]
    ) -> T:
        what = name(query)
        await self._way.there(what, inside=self._depth > 0)
        if self._depth:
            return await self._carry_out(query, values, work)
        async with self._server.gate:
            result = await self._carry_out(query, values, work)
        await self._way.back(what)
        return result

    async def _carry_out(
        self, query: str, values: Sequence[Any], work: Callable[[Session], Awaitable[T]]
    ) -> T:
        what = name(query)
        self._way.check()
        self._server.tell(f"{what} {_brief(values)}")
        result = await self._server.ask(work)
        if what not in HARMLESS and self._late() and writes(query) and _did(result):
            self._server.wrong.append(f"{what} wrote in epoch {self._way.epoch}, which was over")
        return result

    def _late(self) -> bool:
        return self._way.epoch is not None and self._way.epoch < self._server.newest


class _Transaction:
    """The outermost has the session until its end; whatever ends it early rolls it back."""

    def __init__(
        self, connection: _Connection, server: Server, way: Way, how: dict[str, Any]
    ) -> None:
        self._connection = connection
        self._server = server
        self._way = way
        self._how = how
        self._real: Any = None

    async def __aenter__(self) -> None:
        if self._connection._depth == 0:
            await self._way.there("begin", inside=False)
            await self._server.gate.acquire()
            try:
                self._way.check()
                await self._server.ask(self._begin)
            except BaseException:
                await self._undo()
                self._server.gate.release()
                raise
        else:
            await self._server.ask(self._begin)
        self._connection._depth += 1

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection._depth -= 1
        outermost = self._connection._depth == 0
        try:
            if kind is None:
                if outermost:
                    await self._way.there("commit", inside=True)
                self._way.check()
                await self._server.ask(lambda _: self._real.commit())
            else:
                await self._server.ask(lambda _: self._real.rollback())
        except BaseException:
            if kind is None:  # it was never asked to commit, or could not
                await self._undo()
            raise
        finally:
            if outermost:
                self._server.gate.release()
        if outermost and kind is None:
            await self._way.back("commit")

    async def _begin(self, session: Session) -> None:
        self._real = session.transaction(**self._how)
        await self._real.start()

    async def _undo(self) -> None:
        if self._real is not None and self._real._state.name == "STARTED":
            await self._server.ask(lambda _: self._real.rollback())


def writes(query: str) -> bool:
    bare = re.sub(r"--[^\n]*", "", query)
    return re.search(r"\b(INSERT INTO|UPDATE\s+\w+\s+SET|DELETE FROM)\b", bare) is not None


def _did(result: object) -> bool:
    """Whether it changed anything, by its answer."""
    if isinstance(result, str):
        return not result.endswith(" 0")
    return result not in (None, [], 0, False)


def _brief(values: Sequence[Any]) -> str:
    return " ".join(repr(value) for value in values)[:400]
