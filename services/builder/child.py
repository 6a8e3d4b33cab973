"""Children that a keeper ends when their standard input closes: spawned, heard out, seen off."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final, Literal

from shared.errors import Transient, translate

ENDING: Final = 20.0  # seconds that a keeper may take to end what it holds
LEFT: Final = 1.0  # seconds in which its pipes end after it
LONGEST: Final = 1 << 14  # bytes of a line before it is cut
CHUNK: Final = 1 << 16

Output = Literal["stdout", "stderr"]
Write = Callable[[str, Output], None]


async def spawn(*words: str, **how: Any) -> Process:
    """`asyncio.create_subprocess_exec` with three pipes. Raises Transient when there can be none.

    Who is cancelled meanwhile leaves no process behind.
    """
    with translate({OSError: Transient}):
        spawned = asyncio.ensure_future(
            asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, stderr=PIPE, **how)
        )
        try:
            return await asyncio.shield(spawned)
        except asyncio.CancelledError:  # a spawn cut short would leave its process alone
            await end(await spawned)
            raise


async def end(process: Process) -> None:
    """Have its keeper end everything, and wait for it. Nobody reads from it any more."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()  # where the keeper is an init, the kernel then ends what is inside
        await process.wait()
    for pipe in (process.stdout, process.stderr):  # who is gone may have left something in them
        assert pipe is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(LEFT):
                while await pipe.read(CHUNK):
                    pass


async def hear(process: Process, write: Write) -> int:
    """Write what it says, line by line, until it has ended; its exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(process.stdout, "stdout", write))
        group.create_task(_tell(process.stderr, "stderr", write))
    return await process.wait()


async def _tell(reader: asyncio.StreamReader, stream: Output, write: Write) -> None:
    async for line in lines(reader):
        write(line.decode("utf-8", "replace"), stream)


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines without their ends; what is longer than LONGEST is cut and its rest left out."""
    held, skipping = b"", False
    while chunk := await reader.read(CHUNK):
        *whole, rest = (held + chunk).split(b"\n")
        for line in whole:
            if not skipping:
                yield line[:LONGEST]
            skipping = False
        if len(rest) > LONGEST:
            if not skipping:
                yield rest[:LONGEST]
            rest, skipping = b"", True
        held = rest
    if held and not skipping:
        yield held
