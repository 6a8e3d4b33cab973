"""Locks and installs third-party packages with uv, into a folder laid out as a Python user base.

They are for this machine's own Python, or for that of a base image, which is never run: then only
wheels will do, and markers are those of its Python and platform.

uv runs under the warden: in a session of its own with limits, and neither a time-out, a cancelled
build nor the death of this process leaves anything of it behind. It runs in a sandbox, see
confined.py, where it may run the build backends of packages, which is wherever wheels are not all
that will do, and where a project names the addresses that it fetches from: who builds is on a
network that others are not on, and reaches for them only what everybody can, or what its operator
allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.builder import child, warden
from services.builder.base import target
from services.builder.child import Write
from services.builder.python import confined, indexes
from services.builder.python.pipconf import Own, hidden
from services.builder.python.reason import reason
from services.builder.recipe import Host
from services.builder.sandbox.spec import Ended, Limits, exceeded
from shared.errors import Transient, translate

FILE_BYTES: Final = 16 << 30
REMEMBERED: Final = 2000  # lines in which the reason is looked for

LOCK: Final = "lock.txt"  # in the scratch folder
PLAIN: Final = "--no-config --no-python-downloads --no-progress --no-sources --color never"


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Where one project's packages are dealt with, and what for."""

    source: Path  # to which relative paths refer
    scratch: Path  # home, and for temporary files
    host: Host | None = None  # None: this machine's own Python
    own: Own = Own()  # where the project itself wants them from
    project: str = ""  # whose packages nobody else is given
    wheels: Path | None = None  # a folder of what was built for it
    foreign: bool = False  # addresses of the project's own are fetched

    @property
    def base(self) -> Host | None:
        """What they are for when that is no Python of this machine."""
        return self.host if self.host is not None and target.is_base(self.host) else None


class Installer(msgspec.Struct, frozen=True, kw_only=True):
    python: str  # the interpreter that will run the code
    uv: str
    environment: Mapping[str, str]
    cache: Path
    timeout: float
    public: str = ""  # the index that uv asks when nobody names one
    confined: bool = False  # whether this machine permits a sandbox
    memory: int = 4 << 30  # bytes that an installation in a sandbox may use
    private: tuple[str, ...] = ()  # addresses that are not public, and that projects may name

    async def lock(self, room: Room, files: tuple[str, ...], write: Write) -> str | None:
        """Write the exact packages that requirements files ask for to LOCK; why not, or None."""
        options = "--quiet --no-header --no-annotate --generate-hashes"
        command = [
            *("compile", *files, *options.split(), "--output-file", str(room.scratch / LOCK)),
            *("--python", self.python),
        ]
        return await self._uv(room, command, None, write)

    async def install(
        self, room: Room, into: Path, packages: tuple[str, ...], write: Write
    ) -> str | None:
        """Install the packages, each an argument of `uv pip install`; why it failed, or None.

        Output goes to `write` line by line, without passwords.
        """
        command = [
            *("install", "--no-editable", "--link-mode", "copy"),
            *("--python", self.python, "--prefix", str(into)),
            *packages,
        ]
        return await self._uv(room, command, into, write)

    async def _uv(
        self, room: Room, command: list[str], into: Path | None, write: Write
    ) -> str | None:
        tail: deque[str] = deque(maxlen=REMEMBERED)
        secrets = room.own.secrets
        # nobody cares for the place in which it was built
        places = [(str(room.scratch), "<scratch>"), (str(room.source), ".")]
        if into is not None:
            places.insert(0, (str(into), "<packages>"))

        def tell(text: str, stream: Literal["stdout", "stderr"]) -> None:
            for path, shown in places:
                text = text.replace(path, shown)
            shown_text = hidden(text, secrets)
            tail.append(shown_text)
            write(shown_text, stream)

        environment = indexes.merged(self.environment, room.own, room.source, self.public)
        if room.wheels is not None:
            links = [str(room.wheels), *filter(None, [environment.get("UV_FIND_LINKS")])]
            environment["UV_FIND_LINKS"] = ",".join(links)
        arguments = [self.uv, "pip", *command, *self._options(room, environment)]
        if self.confined and (room.base is None or room.foreign):
            ended = await self._confined(room, into, environment, arguments, tell)
        else:
            ended = await self._run(room, environment, arguments, tell)
        if ended.how == "seconds":
            return f"it took longer than {self.timeout:.0f} s"
        if ended.how != "exit":
            return f"it {exceeded(ended.how, self._limits)}"
        return reason(list(tail)) if ended.code else None

    def _options(self, room: Room, environment: Mapping[str, str]) -> list[str]:
        found = [*PLAIN.split(), "--cache-dir", str(self._cache(room))]
        if "UV_NO_INDEX" in environment:
            found.append("--no-index")
        if room.base is not None:
            found += ["--python-version", room.base.python]
            found += ["--python-platform", room.base.platform, "--only-binary", ":all:"]
        return found

    def _cache(self, room: Room) -> Path:
        """A project has a cache of its own where it has indexes of its own, since uv asks for no
        password for what it has, and where it may run code that could write to it.
        """
        foreign = self.confined and room.base is None  # what is built may write to the cache
        if not room.own and not foreign:
            return self.cache / "shared"
        return self.own_cache(room.project)

    def own_cache(self, project: str) -> Path:
        """Where code of a project may write what it fetched and built."""
        return self.cache / "own" / hashlib.sha256(project.encode()).hexdigest()[:16]

    @property
    def _limits(self) -> Limits:
        return Limits(seconds=self.timeout, memory=self.memory)

    async def _confined(
        self,
        room: Room,
        into: Path | None,
        environment: Mapping[str, str],
        command: list[str],
        write: Write,
    ) -> Ended:
        cache = self._cache(room)
        with translate({OSError: Transient}):
            cache.mkdir(parents=True, exist_ok=True)
        return await confined.run(
            command,
            {**environment, **_home(room)},
            cwd=room.source,
            folder=room.scratch.parent,
            reads=(
                *(Path(self.uv), Path(self.python), Path(self.python).resolve().parents[1]),
                *filter(None, (room.wheels,)),
            ),
            writes=(room.source, room.scratch, cache, *filter(None, (into,))),
            reaches=(*self.environment.values(), self.public, *self.private),
            limits=self._limits,
            write=write,
        )

    async def _run(
        self, room: Room, environment: Mapping[str, str], command: list[str], write: Write
    ) -> Ended:
        process = await child.spawn(
            *(sys.executable, "-I", "-S", warden.__file__),
            *(str(int(self.timeout)), str(FILE_BYTES), *command),
            cwd=room.source,
            env={**environment, **_home(room)},
        )
        try:
            code = await child.hear(process, write)
            return Ended("seconds") if code == warden.OVER else Ended("exit", code)
        finally:
            await asyncio.shield(child.end(process))


def _home(room: Room) -> dict[str, str]:
    return {"HOME": str(room.scratch), "TMPDIR": str(room.scratch)}
