"""One use of the sandbox by an engine: a folder of its own, and our program in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.builder.child import Write
from services.builder.engines import inside
from services.builder.sandbox import run as sandbox
from services.builder.sandbox.run import interpreter
from services.builder.sandbox.spec import Ended, Limits, Network, Place, Spec
from shared import ids
from shared.errors import Transient, translate

HERE: Final = Path(inside.__file__).parent
PROGRAM: Final = (
    "import sys; sys.path.append('/slipway'); from inside import {name}; sys.exit({name}.main())"
)
CLEANING: Final = Limits(seconds=300.0)


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is /work inside, and belongs to the root of the sandbox once that runs."""

    folder: Path
    limits: Limits
    network: Network
    gates: Sequence[str] = ()
    proxies: Mapping[str, str] = {}

    async def run(
        self,
        name: str,
        *arguments: str,
        write: Write,
        places: Sequence[Place] = (),
        handed: Sequence[Path] = (),
        counted: str = "",
    ) -> Ended:
        """Run `inside/<name>.py`. Raises Transient when the sandbox itself fails."""
        ended = await sandbox.run(
            Spec(
                command=_command(name, *arguments),
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                cwd="/",
                folder=str(self.folder),
                places=[*_places(self.folder), *places],
                limits=self.limits,
                ids="range",
                network=self.network,
                gates=list(self.gates),
                proxies=dict(self.proxies),
                handed=list(map(str, handed)),
                counted=counted,
            ),
            write,
        )
        if ended.how == "broken":
            raise Transient(ended.why)
        return ended


def _command(name: str, *arguments: str) -> list[str]:
    return [interpreter(), "-I", "-S", "-B", "-c", PROGRAM.format(name=name), name, *arguments]


def _places(folder: Path) -> list[Place]:
    """Our program, the Python that runs it where that is not the system's, and /work."""
    prefix = str(Path(interpreter()).resolve().parents[1])
    python = [] if prefix in ("/", "/usr") else [Place(prefix, prefix)]
    return [Place(str(HERE), "/slipway/inside"), Place(str(folder), "/work", "write"), *python]


@asynccontextmanager
async def made(parent: Path) -> AsyncIterator[Path]:
    """A folder for a box; gone afterwards, whoever its files belong to by then."""
    folder = parent / ids.new("box-")
    with translate({OSError: Transient}):
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        await asyncio.shield(remove(folder))


async def remove(folder: Path) -> None:
    """With all that is in it, whoever that belongs to."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if folder.exists() and os.getuid() != 0:  # files of others, whose root we are in a sandbox
        own = Path(f"{folder}.d")
        own.mkdir(mode=0o700, exist_ok=True)
        box = Box(folder=own, limits=CLEANING, network="none")
        await box.run("clear", write=_unheard, places=[Place(str(folder), "/gone", "write")])
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _unheard(_: str, __: str) -> None:
    pass


def read(path: Path, most: int) -> bytes:
    """A plain file that a box left, never through a link. Raises Transient when there is none."""
    with translate({OSError: Transient}):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Transient(f"{path.name} is no file")
            return file.read(most)
