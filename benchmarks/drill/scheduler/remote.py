"""The drill's target as a scheduler has it: `Driver`, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec

from benchmarks.drill.scheduler.target import LIMIT
from benchmarks.drill.scheduler.wire import Answer, Call
from services.scheduler.driver import Gpu, Observed, Refused, Replica, Started, Workload
from shared.database.logs import Line
from shared.errors import Transient


class Remote:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.changed = asyncio.Event()
        self._writer = writer
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Remote]:
        reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
        remote = cls(writer)
        hearing = asyncio.create_task(remote._hear(reader))
        try:
            yield remote
        finally:
            hearing.cancel()
            writer.close()

    async def start(self, workload: Workload) -> Started | Refused:
        return (await self._ask("start", workload=workload)).outcome

    async def stop(self, replica: Replica, grace: float) -> None:
        await self._ask("stop", replica=replica, grace=grace)

    async def observe(self) -> Mapping[Replica, Observed]:
        return dict((await self._ask("observe")).seen)

    async def look(self, replica: Replica) -> Observed | None:
        return dict((await self._ask("look", replica=replica)).seen).get(replica)

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        return (await self._ask("given", replicas=replicas)).devices

    async def inventory(self) -> Sequence[Gpu]:
        return (await self._ask("inventory")).gpus

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        """Nothing runs, so nothing is printed."""
        return []

    async def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        """Nothing runs, so nothing is left behind."""
        return
        yield b""

    async def _ask(
        self,
        what: str,
        *,
        workload: Workload | None = None,
        replica: Replica | None = None,
        replicas: Collection[Replica] = (),
        grace: float = 0.0,
    ) -> Answer:
        number = next(self._numbers)
        call = Call(
            number=number,
            what=what,
            workload=workload,
            replica=replica,
            replicas=list(replicas),
            grace=grace,
        )
        answered = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(msgspec.json.encode(call) + b"\n")
            answer: Answer = await answered
        finally:
            del self._asked[number]
        if answer.trouble is not None:
            raise Transient(answer.trouble)
        return answer

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            answer = msgspec.json.decode(line, type=Answer)
            waiting = self._asked.get(answer.number)
            if answer.number == 0:
                self.changed.set()
            elif waiting is not None and not waiting.done():
                waiting.set_result(answer)
