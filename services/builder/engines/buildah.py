"""The engine that stands on buildah: a child process in a sandbox, and nothing else speaks to it.

A step sees the shared store of bases read-only and writes into a storage of its own, in its own
folder. Chroot isolation is enough, because the sandbox around it holds: the step is root of a range
of users who are nobody on the machine, and lacks the capabilities to leave its root folder.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.builder.engines import Layer, Limits, Step, Write, lines
from services.builder.engines.box import Box, made, read
from services.builder.engines.store import Store
from services.builder.logbook import Stream, clean
from services.builder.python.reason import masked
from services.builder.sandbox.spec import Limits as Bounds
from services.builder.sandbox.spec import Place, exceeded
from shared import ids
from shared.errors import Invalid, Transient, translate

FIELD: Final = "install"
TAIL: Final = 6  # last lines of what a failed line said, in the reason
LONGEST: Final = 800
RESULT: Final = 1 << 16


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What inside/step.py says at its end."""

    code: int = 0
    members: int = 0
    broken: str = ""
    no_shell: bool = False
    too_large: bool = False


class Buildah(msgspec.Struct, frozen=True, kw_only=True):
    """`gates` are the `host:port` that a step reaches besides public ones, and `proxies` the
    machine's own settings (`https_proxy`) by which it does; see sandbox/gates.py.
    """

    store: Store
    limits: Limits = Limits()
    gates: Sequence[str] = ()
    proxies: Mapping[str, str] = {}

    async def run(self, step: Step, folder: Path, write: Write) -> Layer:
        """As Engine.run promises."""
        mark = f"{secrets.token_hex(16)} "
        asked = self._asked(step, mark)  # first: it says what is wrong with the step
        said = Said(lines.units(step), mark, self.limits, write)
        bounds = _bounds(self.limits)
        async with self.store.holding(step.base, write) as images, made(folder) as work:
            with translate({OSError: Transient}):
                (work / "step.json").write_bytes(msgspec.json.encode(asked))
                (work / "step.json").chmod(0o644)
            ended = await Box(
                folder=work,
                limits=bounds,
                network="out" if step.network else "none",
                gates=self.gates,
                proxies=self.proxies,
            ).run(
                "step",
                write=said.hear,
                places=[Place(str(images), "/store")],
                handed=step.layers,
            )
            said.close()
            if ended.how != "exit":
                raise Invalid(FIELD, said.during(exceeded(ended.how, bounds)))
            if ended.code:  # our program has no reason to fail but that the step ended it
                raise Invalid(FIELD, said.during("ended what it ran in"))
            result = msgspec.json.decode(read(work / "result.json", RESULT), type=Result)
            if result.broken:
                self.store.forget(step.base)
            return self._taken(result, said, work, folder)

    def _asked(self, step: Step, mark: str) -> dict[str, object]:
        try:
            text = lines.script(step, mark)
        except ValueError as error:
            raise Invalid(FIELD, str(error)) from error
        return {
            "base": step.base,
            "layers": len(step.layers),
            "script": text,
            "cwd": step.cwd,
            "most": self.limits.disk,
        }

    def _taken(self, result: Result, said: Said, work: Path, folder: Path) -> Layer:
        if result.broken:
            raise Transient(f"buildah failed: {masked(clean(result.broken))[-LONGEST:]}")
        if result.no_shell:
            raise Invalid(FIELD, "the base image has no /bin/sh, so nothing can be installed in it")
        if result.code:
            raise Invalid(FIELD, said.failed(result.code))
        if result.too_large:
            raise Invalid(FIELD, exceeded("disk", _bounds(self.limits)))
        path = folder / ids.new("layer-")
        with translate({OSError: Transient}):
            os.rename(work / "layer.tar", path)
            if os.getuid() == 0:
                os.chown(path, 0, 0)
            size = path.stat().st_size
        return Layer(path=path, size=size, members=result.members)


def _bounds(limits: Limits) -> Bounds:
    return Bounds(
        seconds=limits.seconds,
        memory=limits.memory,
        disk=limits.disk,
        files=limits.files,
        processes=limits.processes,
    )


class Said:
    """What a step says on its way: shown to its owner, and remembered for the reason."""

    def __init__(
        self, units: Sequence[lines.Unit], mark: str, limits: Limits, write: Write
    ) -> None:
        self._units = units
        self._mark = mark
        self._write = write
        self._lines = limits.lines
        self._bytes = limits.log_bytes
        self._left_out = 0
        self._at = 0
        self._tail: deque[str] = deque(maxlen=TAIL)

    def hear(self, text: str, stream: Stream) -> None:
        if text.startswith(self._mark):
            self._begin(text.removeprefix(self._mark))
            return
        shown = masked(clean(text))
        if shown.strip():
            self._tail.append(shown.strip())
        self._show(shown, stream)

    def _begin(self, number: str) -> None:
        if number.isdecimal() and int(number) < len(self._units):
            self._at = int(number)
            self._tail.clear()
            self._show(masked(f"$ {self._units[self._at].shown}"), "platform")

    def _show(self, text: str, stream: Stream) -> None:
        size = len(text.encode())
        if self._lines <= 0 or self._bytes < size:
            self._left_out += 1
            return
        self._lines -= 1
        self._bytes -= size
        self._write(text, stream)

    def close(self) -> None:
        if self._left_out:
            self._write(f"{self._left_out} more lines of output were left out", "platform")

    def _line(self) -> str:
        return masked(self._units[self._at].shown) if self._units else "it"

    def during(self, what: str) -> str:
        return f"`{self._line()}` {what}"

    def failed(self, code: int) -> str:
        """Which line it was, how it ended, and the end of what it said."""
        how = f"was ended by signal {code - 128}" if code > 128 else f"failed with exit code {code}"
        text = ": ".join(
            [self.during(how), " / ".join(self._tail)] if self._tail else [self.during(how)]
        )
        return text if len(text) <= LONGEST else text[:LONGEST] + " …"
