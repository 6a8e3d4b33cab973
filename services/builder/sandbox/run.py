"""The builder's side: starts a sandbox, hands on what is said in it, and waits for its end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Final

import shared
from services.builder import child
from services.builder.child import Write
from services.builder.sandbox.spec import Ended, Limits, Spec, ended, packed

FLOOR: Final = Path(shared.__file__).parents[1]
PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from services.builder.sandbox.main import main; sys.exit(main())"
)


def interpreter() -> str:
    """The machine's Python, not the platform's virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def permits(folder: Path) -> str | None:
    """Whether this machine permits sandboxes below `folder`: None, or why not. Blocks."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        spec = Spec(
            ["true"], {"PATH": os.defpath}, "/", name, [], Limits(seconds=child.ENDING), tell=1
        )
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
            await asyncio.shield(child.end(process))
        return ended(os.read(told, child.CHUNK))
    finally:
        os.close(told)


async def _spawned(tell: int) -> Process:
    return await child.spawn(
        *(interpreter(), "-I", "-S", "-c", PROGRAM, str(FLOOR)),
        cwd="/",
        env={"PATH": os.defpath},
        pass_fds=[tell],
        start_new_session=True,  # a Ctrl-C is for us, who end it in our own time
    )


async def _attended(process: Process, line: bytes, write: Write) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it ended at once, which is told below
        process.stdin.write(line)
        await process.stdin.drain()
    await child.hear(process, write)
