"""A containerd of our own, in one folder: another engine that our images must run on.

It is reached with ctr, as an operator would, and pulls from registries of this machine.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from shared import ids
from tests.beds.debian import program

START: Final = 60.0  # seconds that a busy machine may need
STOP: Final = 10.0

CONFIG: Final = """\
version = 2
root = "{folder}/root"
state = "{state}"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{state}/s"
[ttrpc]
  address = "{state}/t"
"""


class NotRun(Exception):
    """It did not come up, or did not do what it was told; the message is what it said."""


class Containerd:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def pull(self, reference: str) -> None:
        """By digest, over plain HTTP; nothing of it is left out."""
        snapshotter = ("--snapshotter", await self._snapshotter())
        await self.ctr("images", "pull", "--plain-http", *snapshotter, reference)

    async def _snapshotter(self) -> str:
        """Overlays, where the kernel lays them over one another; else copies of everything."""
        plugins = await self.ctr("plugins", "ls")
        overlays = re.search(r" overlayfs +\S+ +ok\b", plugins)
        return "overlayfs" if overlays else "native"

    async def run(self, reference: str, *command: str) -> str:
        """What a container of a pulled image says, until it ends well.

        Without a command it runs what the image says.
        """
        options = ("--rm", "--snapshotter", await self._snapshotter())
        return await self.ctr("run", *options, reference, ids.new("test-"), *command)

    async def ctr(self, *arguments: str) -> str:
        """Raises NotRun when it fails."""
        process = await asyncio.create_subprocess_exec(
            *(program("ctr", "containerd"), "--address", str(self._socket), *arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        said, wrong = await process.communicate()
        if process.returncode != 0:
            raise NotRun(f"ctr {' '.join(arguments)}: {wrong.decode(errors='replace')[-2000:]}")
        return said.decode(errors="replace")


@asynccontextmanager
async def containerd(folder: Path) -> AsyncIterator[Containerd]:
    """One that keeps everything in `folder` and ends with us, however we end."""
    serve = program("containerd", "containerd")
    program("runc", "runc")
    folder.mkdir(parents=True, exist_ok=True)
    # a socket's path must be short, and a folder of tests can be deep
    state = Path(tempfile.mkdtemp(prefix="ctrd-"))
    config, output = folder / "config.toml", folder / "output"
    config.write_text(CONFIG.format(folder=folder.absolute(), state=state))
    try:
        with output.open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", "--", serve, "--config", str(config)),
                stdin=DEVNULL,
                stdout=said,
                stderr=said,
            )
        try:
            await _up(process, output)
            yield Containerd(state / "s")
        finally:
            await _end(process)
    finally:
        shutil.rmtree(state, ignore_errors=True)


async def _up(process: Process, output: Path) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(START):
            while process.returncode is None:
                if re.search("successfully booted", output.read_text(errors="replace")):
                    return
                await asyncio.sleep(0.01)
    raise NotRun(output.read_text(errors="replace")[-2000:])


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
