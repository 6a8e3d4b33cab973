"""Large bodies and answers are mapped aside, in a process of their own: here they would keep all
other requests waiting, and what becomes of their memory nobody knows.

The process is started when it is first needed, does one thing at a time, and ends after a while
without work. One that fails, or is not done in time, is ended, and the next order gets another.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.router.gateway.answer import to_json
from services.router.gateway.child import DONE, ORDER, READ, REPLY, WRITE, Refusal
from services.router.gateway.errors import GatewayError, Kind, unavailable
from services.router.gateway.mapping import Slow, to_tensors
from services.router.gateway.tensors import Tensors, weight
from shared.contract import Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse

LARGE: Final = 4 << 20  # bytes of a body
LEISURE: Final = 1 << 18  # bytes of it that are read one by one
MANY: Final = 1 << 19  # elements of an answer
WAITING: Final = 16  # orders that may wait for the process
IDLE: Final = 60.0  # seconds without work after which it ends
CHUNK: Final = 1 << 20
ROOT: Final = str(Path(__file__).parents[3])

_refusal: Final = msgspec.json.Decoder(Refusal)


class Aside:
    def __init__(self, large: int = LARGE, many: int = MANY) -> None:
        self.large = large
        self.many = many
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: asyncio.subprocess.Process | None = None
        self._used = 0.0

    async def to_tensors(self, body: bytes, fields: Sequence[Field], deadline: float) -> Tensors:
        """As mapping.to_tensors, wherever it is best done. Raises TimeoutError at `deadline`."""
        if len(body) <= self.large:
            try:
                return to_tensors(body, fields, leisure=LEISURE)
            except Slow:
                pass
        return PredictRequest.FromString(await self.ordered(READ, fields, body, deadline)).inputs

    async def to_json(self, tensors: Tensors, fields: Sequence[Field], deadline: float) -> bytes:
        """As answer.to_json. Raises TimeoutError at `deadline`."""
        if weight(tensors) <= self.many:
            return to_json(tensors, fields)
        message = PredictResponse(outputs=dict(tensors)).SerializeToString()
        return await self.ordered(WRITE, fields, message, deadline)

    async def forget(self) -> None:
        """End the process if nobody needs it any more."""
        if self._process and not self._turn.locked() and time.monotonic() > self._used + IDLE:
            await self.close()

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def ordered(
        self, which: bytes, fields: Sequence[Field], data: bytes, deadline: float
    ) -> bytes:
        """What the process makes of `data`: see child.WORK. Raises TimeoutError at `deadline`."""
        if self._waiting >= WAITING:
            raise unavailable("too many large bodies and answers are in hand")
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline - time.monotonic()), self._turn:
                return await self._done(which, fields, data)
        finally:
            self._waiting -= 1

    async def _done(self, which: bytes, fields: Sequence[Field], data: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        described = msgspec.json.encode(tuple(fields))
        try:
            process.stdin.write(ORDER.pack(which, len(described), len(data)) + described)
            for at in range(0, len(data), CHUNK):
                process.stdin.write(data[at : at + CHUNK])
                await process.stdin.drain()
            ended, size = REPLY.unpack(await process.stdout.readexactly(REPLY.size))
            rest = await process.stdout.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.close()
            text = "It takes more memory than there is for it."
            raise GatewayError(Kind.TOO_LARGE, text) from error
        except BaseException:  # who asked has gone, or their time is up
            self._process = None
            process.kill()
            raise
        self._used = time.monotonic()
        if ended == DONE:
            return rest
        refusal = _refusal.decode(rest)
        if not refusal.kind:
            raise ValueError(refusal.information)
        raise GatewayError(Kind(refusal.kind), refusal.information)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.stdin is not None:
            if self._process.returncode is None and not self._process.stdin.is_closing():
                return self._process
            await self.close()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.router.gateway.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=CHUNK,
            env={"PYTHONPATH": os.pathsep.join((ROOT, *sys.path))},  # and nothing that is secret
        )
        return self._process
