"""Runs git as a child that is bounded in time, memory and bytes, and takes all of it down again.

The warden (see warden.py) holds the child: neither a time-out, a cancelled fetch nor the death of
this process leaves anything of it behind.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio import StreamReader
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.builder import child, warden
from services.builder.git import command

MEMORY: Final = 3 << 30  # bytes that one process may map
SAID: Final = 64 << 10  # bytes of what it complains that are kept
ANSWER: Final = 1 << 20  # bytes of a short answer
CHUNK: Final = 1 << 18

_BOUNDED: Final = 'ulimit -v "$1" || exit 126; in=$2; shift 2; exec "$@" <"$in"'


class Refused(Exception):
    """git ended with an error."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """git in the repository `folder`."""

    folder: Path
    home: Path  # an empty folder
    schemes: tuple[str, ...]
    seconds: int
    file_bytes: int

    async def ask(self, *arguments: str, settings: Sequence[str] = ()) -> str:
        """What it answers, up to a megabyte. Raises Refused."""
        async with self.reading(*arguments, settings=settings) as out:
            answer = b""
            while len(answer) < ANSWER and (chunk := await out.read(CHUNK)):
                answer += chunk
            return answer.decode("utf-8", "replace").strip()

    @asynccontextmanager
    async def reading(
        self, *arguments: str, settings: Sequence[str] = (), given: Path = Path(os.devnull)
    ) -> AsyncIterator[StreamReader]:
        """What it writes, as it comes; `given` is what it reads. Raises Refused at the end.

        What is not read is thrown away, and git with it.
        """
        words = [
            *("/bin/sh", "-c", _BOUNDED, "sh", str(MEMORY >> 10), str(given)),
            *("git", "--no-pager", *command.settings(*settings), *arguments),
        ]
        environ = command.environment(self.home, self.schemes, os.environ)
        process = await child.spawn(
            *(sys.executable, "-I", "-S", warden.__file__),
            *(str(self.seconds), str(self.file_bytes), *words),
            limit=CHUNK,
            cwd=self.folder,
            env=environ,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        listening = asyncio.create_task(_said(process.stderr))
        try:
            yield process.stdout
            if await process.stdout.read(1):
                return  # enough was read
            code, said = await process.wait(), await listening
            if code:
                raise Refused(code, said)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await asyncio.shield(child.end(process))


async def _said(reader: StreamReader) -> str:
    """The end of what it complains, however much that is."""
    kept = b""
    while chunk := await reader.read(CHUNK):
        kept = (kept + chunk)[-SAID:]
    return kept.decode("utf-8", "replace")
