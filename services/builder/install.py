"""Installs third-party packages with uv into a folder laid out as a Python user base.

uv runs under the warden: in a session of its own with limits, and neither a time-out, a cancelled
build nor the death of this process leaves anything of it behind.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.builder import warden
from services.builder.reason import masked, reason
from shared.errors import Transient, translate

FILE_BYTES: Final = 16 << 30
CHUNK: Final = 1 << 16
LONGEST: Final = 1 << 14  # bytes of a line before it is cut
REMEMBERED: Final = 2000  # lines in which the reason is looked for
ENDING: Final = 20.0  # seconds that the warden may take to end what it holds

Write = Callable[[str, Literal["stdout", "stderr"]], None]


class Installer(msgspec.Struct, frozen=True, kw_only=True):
    python: str  # the interpreter that will run the code
    uv: str
    environment: Mapping[str, str]
    cache: Path
    timeout: float

    async def install(
        self, source: Path, scratch: Path, into: Path, packages: tuple[str, ...], write: Write
    ) -> str | None:
        """Install the packages, each an argument of `uv pip install`; why it failed, or None.

        Runs in `source`, to which relative paths refer. `scratch` serves as home and for
        temporary files. Output goes to `write` line by line, without credentials.
        """
        tail: deque[str] = deque(maxlen=REMEMBERED)
        # nobody cares for the place in which it was built
        places = ((str(into), "<packages>"), (str(scratch), "<scratch>"), (str(source), "."))

        def tell(text: str, stream: Literal["stdout", "stderr"]) -> None:
            for path, shown in places:
                text = text.replace(path, shown)
            shown_text = masked(text)
            tail.append(shown_text)
            write(shown_text, stream)

        code = await self._run(source, scratch, self._arguments(into, packages), tell)
        if code == 0:
            return None
        if code == warden.OVER:
            return f"it took longer than {self.timeout:.0f} s"
        return reason(list(tail))

    def _arguments(self, into: Path, packages: tuple[str, ...]) -> list[str]:
        options = "--no-config --no-python-downloads --no-progress --no-editable --no-sources"
        return [
            *(self.uv, "pip", "install", *options.split()),
            *("--color", "never", "--link-mode", "copy"),
            *("--python", self.python, "--prefix", str(into), "--cache-dir", str(self.cache)),
            *(["--no-index"] if "UV_NO_INDEX" in self.environment else []),
            *packages,
        ]

    async def _run(self, source: Path, scratch: Path, command: list[str], write: Write) -> int:
        own = {"HOME": str(scratch), "TMPDIR": str(scratch)}
        with translate({OSError: Transient}):
            spawned = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", warden.__file__),
                    *(str(int(self.timeout)), str(FILE_BYTES), *command),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=PIPE,
                    cwd=source,
                    env={**self.environment, **own},
                )
            )
            try:
                process = await asyncio.shield(spawned)
            except asyncio.CancelledError:  # a spawn cut short would leave its process alone
                await _end(await spawned)
                raise
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            async with asyncio.TaskGroup() as group:
                group.create_task(_tell(process.stdout, "stdout", write))
                group.create_task(_tell(process.stderr, "stderr", write))
            return await process.wait()
        finally:
            await asyncio.shield(_end(process))


async def _end(process: Process) -> None:
    """Have the warden end everything, and wait for it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()


async def _tell(
    reader: asyncio.StreamReader, stream: Literal["stdout", "stderr"], write: Write
) -> None:
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
