"""A real container engine of our own: Podman's service on a socket in one folder.

Its images, containers and networks are its own. At the end they are all removed, and nothing of it
is left mounted or running.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from tests.beds.debian import program

START: Final = 60.0  # seconds that a busy machine may need
STOP: Final = 10.0

CONTAINERS: Final = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
default_subnet_pools = [{{"base" = "10.{net}.0.0/16", "size" = 24}}]
"""

REGISTRY: Final = """\
[[registry]]
location = "{registry}"
insecure = true
"""


class NoPodman(Exception):
    """It did not come up; the message is what it said."""


class Podman:
    """Its `url`, and its command line on the same storage."""

    def __init__(self, folder: Path, short: Path, registries: Sequence[str]) -> None:
        self.folder = folder
        self._short = short
        self._program = program("podman", "podman")
        self.socket = short / "podman.sock"
        self.url = f"unix://{self.socket}"
        for name, package in (("runc", "runc"), ("netavark", "netavark")):
            _helper(name, package)
        folder.mkdir(parents=True, exist_ok=True)
        net = 90 + sum(os.fsencode(folder)) % 160  # away from other engines of this machine
        (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder, net=net))
        (folder / "registries.conf").write_text(
            "".join(REGISTRY.format(registry=registry) for registry in registries)
        )
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(folder),
            "CONTAINERS_CONF": f"{folder}/containers.conf",
            "CONTAINERS_REGISTRIES_CONF": f"{folder}/registries.conf",
        }

    def command(self, *arguments: str) -> list[str]:
        return [
            *(self._program, "--root", f"{self.folder}/root"),
            *("--runroot", f"{self._short}/run", "--tmpdir", f"{self._short}/tmp"),
            *("--storage-driver", _storage(), "--runtime", "runc"),
            *("--cgroup-manager", "cgroupfs", *arguments),
        ]

    def run(self, *arguments: str) -> str:
        """One command; what it printed. Blocks."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise NoPodman(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def clear(self) -> None:
        """Containers first, then all that they stood on, then what is still mounted. Blocks."""
        for command in (("rm", "--all", "--force", "--time", "0"), ("network", "prune", "--force")):
            with suppress(NoPodman):
                self.run(*command)
        homes = (f"{self.folder}/", f"{self._short}/")
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(homes):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self._short)
        subprocess.run(["rm", "-rf", str(self.folder / "root")], check=False)


@asynccontextmanager
async def podman(
    folder: Path, *, registries: Sequence[str] = (), serving: bool = True
) -> AsyncIterator[Podman]:
    """One that is served, unless that is left to the caller. Needs root.

    `registries` are spoken to without TLS.
    """
    short = Path(tempfile.mkdtemp(prefix="slipway-podman-"))  # it wants paths of 50 characters
    engine = Podman(folder.resolve(), short, registries)
    try:
        if serving:
            async with served(engine):
                yield engine
        else:
            yield engine
    finally:
        await asyncio.to_thread(engine.clear)


@asynccontextmanager
async def served(engine: Podman) -> AsyncIterator[None]:
    """Its service runs. Containers outlive it."""
    output = engine.folder / "output"
    with output.open("wb") as said:
        serving = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--"),  # it ends with us, however we end
            *engine.command("system", "service", "--time=0", engine.url),
            env=engine.environment,
            cwd=engine.folder,  # where some of its helpers leave notes
            stdin=DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        await _up(engine, serving, output)
        yield
    finally:
        await _end(serving)


async def _up(engine: Podman, serving: Process, output: Path) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(START):
            while serving.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(engine.socket)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    raise NoPodman(output.read_text(errors="replace")[-2000:])


async def _end(serving: Process) -> None:
    with suppress(ProcessLookupError):
        serving.terminate()
    try:
        async with asyncio.timeout(STOP):
            await serving.wait()
    except TimeoutError:
        serving.kill()
        await serving.wait()


def _storage() -> str:
    """Overlays, where the kernel lays them over one another; `/` is one where we are in one."""
    kinds = {
        line.split()[1]: line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()
    }
    return "vfs" if kinds.get("/") == "overlay" else "overlay"


def _helper(name: str, package: str) -> None:
    """A program that Podman finds by itself, in places that are not on a PATH."""
    if not Path("/usr/lib/podman", name).exists():
        program(name, package)
