"""uv inside a base image: it decides on versions there, and builds wheels."""

from __future__ import annotations

import asyncio
import shlex
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.builder.engines import Engine, Step
from services.builder.logbook import Stream, Write
from services.builder.python.install import PLAIN, REMEMBERED
from services.builder.python.pipconf import hidden
from services.builder.python.reason import reason
from services.builder.python.wanted import Wanted
from services.builder.python.wheels import built, kit, pylock
from services.builder.python.wheels.kit import ASKED, COLLECT, EXTRA, NEEDED, OUT, PLACE, Kit
from services.builder.python.wheels.pylock import Found
from shared.errors import Invalid, Transient, translate

CACHE: Final = "/tmp/slipway-uv"  # inside, where nothing of it is kept
INTO: Final = "/tmp/slipway-into"
BUILDING: Final = "DEBUG "  # before what a build says
LOG: Final = {"RUST_LOG": "uv_build_frontend=debug", "RUST_LOG_STYLE": "never"}
LARGEST: Final = 16 << 20  # bytes of what was decided on


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps stand on."""

    base: str  # host[:port]/repository@sha256:…
    below: tuple[Path, ...]  # layers: what the endpoint has of its system, and the source
    cwd: str  # to which paths in the requirements refer
    wanted: Wanted
    source: Path  # what is unpacked of it here


class Workbench:
    """`folder` is the build's own. Nothing that was laid over a base is left in it."""

    def __init__(
        self, bench: Bench, engine: Engine, kit: Kit, folder: Path, into: Path, write: Write
    ) -> None:
        self._bench = bench
        self._engine = engine
        self._kit = kit
        self._folder = folder
        self._into = into
        self._write = write
        self._said: deque[str] = deque(maxlen=REMEMBERED)

    async def decide(self) -> tuple[tuple[Found, ...], dict[str, str]]:
        """All packages, with what has to be built of them. Raises Invalid with the reason.

        Some may only be known when they are built: then their wheels are in the folder, too.
        """
        host, asked = self._bench.wanted.host, self._bench.wanted.asked
        files = [f"{PLACE}/{EXTRA}", *(f"{PLACE}/{ASKED}/{name}" for name in asked.main)]
        taken = await self._run(
            "",
            self._uv(
                *("compile", *files, "--format", "pylock.toml", "--quiet", "--no-header"),
                *("--output-file", f"{OUT}/{built.DECIDED}", "--python-platform", host.platform),
            ),
            self._collect(),
        )
        path = self._into / built.DECIDED
        try:
            with translate({OSError: Transient}):
                if path.stat().st_size > LARGEST:
                    raise ValueError("it is too long")
                text = path.read_text("utf-8")
                path.unlink()
            found = pylock.read(text, OUT)
        except ValueError as error:
            raise Invalid("", f"what was decided on can't be read: {error}") from error
        wheels = built.chosen([one for one in found if one.line], taken, exactly=True)
        self._remove({*taken} - {*wheels.values(), built.DECIDED})
        return found, wheels

    async def build(self, needed: Sequence[Found]) -> dict[str, str]:
        """Have the wheels in the folder; their names by package. Raises Invalid likewise."""
        lines = "".join(f"{one.line}\n" for one in needed)
        taken = await self._run(
            lines,
            self._uv("install", "--no-deps", "--prefix", INTO, "-r", f"{PLACE}/{NEEDED}"),
            self._collect(),
        )
        wheels = built.chosen(needed, taken, exactly=False)
        self._remove({*taken} - {*wheels.values()})
        for one in needed:
            if one.pin.name not in wheels:
                raise Invalid("", f"building {one.pin.name} made no wheel of it")
        return wheels

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self._into / name).unlink(missing_ok=True)

    def _collect(self) -> str:
        python = shlex.quote(self._bench.wanted.host.executable)
        return f"{python} -I {PLACE}/{COLLECT} {CACHE} {OUT}"

    def _uv(self, *arguments: str) -> str:
        python = ("--python", self._bench.wanted.host.executable, "--cache-dir", CACHE)
        offline = ("--no-index",) if "UV_NO_INDEX" in self._settings() else ()
        command = ("pip", *arguments, *python, *PLAIN.split(), *offline)
        return " ".join([f"{PLACE}/uv", *map(shlex.quote, command)])

    def _settings(self) -> dict[str, str]:
        try:
            return kit.environment(self._kit.settings(self._bench.wanted, self._bench.source))
        except ValueError as error:
            raise Invalid("", str(error)) from error

    async def _run(self, needed: str, *lines: str) -> list[str]:
        wanted, source = self._bench.wanted, self._bench.source
        environment = self._settings() | LOG
        self._said.clear()
        try:
            own = await asyncio.to_thread(self._kit.pack, wanted, source, needed)
            step = Step(
                base=self._bench.base,
                layers=(*self._bench.below, own),
                lines=lines,
                env=environment,
                cwd=self._bench.cwd,
            )
            layer = await self._engine.run(step, self._folder, self._hear)
        except Invalid as error:
            raise Invalid("", self._why(error)) from error
        finally:
            await asyncio.to_thread(self._kit.clear)
        try:
            return await asyncio.to_thread(built.take, layer.path, self._into)
        finally:
            layer.path.unlink(missing_ok=True)

    def _hear(self, text: str, stream: Stream) -> None:
        shown = hidden(text, self._bench.wanted.asked.own.secrets)
        if shown.startswith(BUILDING):  # told again where a build failed
            shown = shown.removeprefix(BUILDING)
        elif stream != "platform":
            self._said.append(shown)
        self._write(shown, stream)

    def _why(self, error: Invalid) -> str:
        """In the words of the installer, where it is that which failed."""
        said = list(self._said)
        if not any(line.startswith("error: ") for line in said):
            return hidden(error.message, self._bench.wanted.asked.own.secrets)
        lacks = built.lacks(said)
        advice = (
            f"; its base image lacks {lacks}: install it, or choose another base" if lacks else ""
        )
        return f"{reason(said)}{advice}"
