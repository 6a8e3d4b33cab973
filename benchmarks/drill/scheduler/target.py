"""The target of the drill: one for all schedulers, in a process that is never killed.

It runs nothing, and keeps a record of who could have reached which GPU, and when.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.drill.scheduler.wire import Answer, Call
from services.scheduler.driver import Refused
from shared.errors import Transient
from tests.simulation.target import Machines

LIMIT: Final = 16 << 20  # bytes of a line
NEWS: Final = msgspec.json.encode(Answer(number=0)) + b"\n"


class Target:
    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self._heard: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def open(self, path: Path) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, path, limit=LIMIT)
        telling = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            telling.cancel()
            server.close()
            for writer in list(self._heard):
                writer.close()
            await self.machines.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._heard.add(writer)
        try:
            with suppress(OSError):
                async for line in reader:
                    call = msgspec.json.decode(line, type=Call)
                    # it is done, whatever becomes of who asked for it
                    self.machines.run_on(self._answer(call, writer))
        finally:
            self._heard.discard(writer)
            writer.close()

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._do(call)
        except Transient as error:
            answer = Answer(number=call.number, trouble=str(error))
        if not writer.is_closing():  # else whoever asked has been killed
            writer.write(msgspec.json.encode(answer) + b"\n")

    async def _do(self, call: Call) -> Answer:
        number, machines = call.number, self.machines
        match call:
            case Call(what="start", workload=workload) if workload is not None:
                outcome = await machines.start(workload)
                if isinstance(outcome, Refused):
                    return Answer(number=number, refused=outcome.reason)
                return Answer(number=number, addresses=outcome.addresses)
            case Call(what="stop", replica=replica) if replica is not None:
                await machines.stop(replica, call.grace)
            case Call(what="look", replica=replica) if replica is not None:
                seen = await machines.look(replica)
                return Answer(number=number, seen=[] if seen is None else [(replica, seen)])
            case Call(what="given"):
                return Answer(number=number, devices=list(await machines.given(call.replicas)))
            case Call(what="inventory"):
                return Answer(number=number, gpus=list(await machines.inventory()))
            case _:
                return Answer(number=number, seen=list((await machines.observe()).items()))
        return Answer(number=number)

    async def _tell(self) -> None:
        while True:
            await self.machines.changed.wait()
            self.machines.changed.clear()
            for writer in self._heard:
                if writer.transport.get_write_buffer_size() == 0:  # else it stands still
                    writer.write(NEWS)
            await asyncio.sleep(0.005)
