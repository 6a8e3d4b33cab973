"""The builder's side: starts a sandbox, hands on what is said in it, and waits for its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import shared
from services.builder.sandbox.spec import Ended, Limits, Spec, ended, packed
from shared.errors import Transient, translate

CHUNK: Final = 1 << 16
LONGEST: Final = 1 << 14  # bytes of a line before it is cut
ENDING: Final = 20.0  # seconds that the program may take to end what it holds
FLOOR: Final = Path(shared.__file__).parents[1]
PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from services.builder.sandbox.main import main; sys.exit(main())"
)

Output = Literal["stdout", "stderr"]
Write = Callable[[str, Output], None]


def interpreter() -> str:
    """The machine's Python, not the platform's virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def permits(folder: Path) -> str | None:
    """Whether this machine permits sandboxes below `folder`: None, or why not. Blocks."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        spec = Spec(["true"], {"PATH": os.defpath}, "/", name, [], Limits(seconds=ENDING), tell=1)
        process = subprocess.Popen(
            [interpreter(), "-I", "-S", "-c", PROGRAM, str(FLOOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process, process.stdin, process.stdout:
            process.stdin.write(packed(spec))
            process.stdin.flush()
            said = ended(process.stdout.readline())
    return None if said == Ended("exit") else said.why or "it does not end as it should"


async def run(spec: Spec, write: Write) -> Ended:
    """Run `spec.command` in a sandbox; its output goes to `write`, line by line as it was said.

    `spec.folder` exists and is empty; what is written there by the sandbox is the caller's to
    remove. When this returns, raises or is cancelled, nothing of the sandbox runs any more.
    Raises Transient when no process can be started.
    """
    told, tell = os.pipe()
    try:
        try:
            process = await _spawned(tell)
        finally:
            os.close(tell)
        try:
            await _attended(process, packed(spec._replace(tell=tell)), write)
        finally:
            await asyncio.shield(_end(process))
        return ended(os.read(told, CHUNK))
    finally:
        os.close(told)


async def _spawned(tell: int) -> Process:
    with translate({OSError: Transient}):
        spawned = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *(interpreter(), "-I", "-S", "-c", PROGRAM, str(FLOOR)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd="/",
                env={"PATH": os.defpath},
                pass_fds=[tell],
                start_new_session=True,  # a Ctrl-C is for us, who end it in our own time
            )
        )
        try:
            return await asyncio.shield(spawned)
        except asyncio.CancelledError:  # a spawn cut short would leave its process alone
            await _end(await spawned)
            raise


async def _attended(process: Process, line: bytes, write: Write) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with suppress(OSError):  # it ended at once, which is told below
        process.stdin.write(line)
        await process.stdin.drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(process.stdout, "stdout", write))
        group.create_task(_tell(process.stderr, "stderr", write))
    await process.wait()


async def _end(process: Process) -> None:
    """Have the program end everything, and wait for it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()  # the kernel then ends what is inside
        await process.wait()


async def _tell(reader: asyncio.StreamReader, stream: Output, write: Write) -> None:
    async for line in _lines(reader):
        write(line.decode("utf-8", "replace"), stream)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
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
