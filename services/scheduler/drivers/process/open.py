"""Opens the process driver: finds out what this machine permits and watches while it is open."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from services.scheduler.drivers.limits import Limits
from services.scheduler.drivers.process import launch
from services.scheduler.drivers.process.driver import ProcessDriver
from services.scheduler.drivers.process.layers import prune
from services.scheduler.drivers.process.rubbish import PARTS, age, delete
from services.scheduler.drivers.process.stage import Stage
from services.scheduler.drivers.process.tenant import Tenant
from shared.blobs import Blobs
from shared.errors import Permanent

Isolation = Literal["auto", "namespaces", "plain"]
USUAL: Final = Limits()
SHORT: Final = Path("/tmp")
ABANDONED: Final = 3600.0  # seconds
TIDY: Final = 3600.0  # seconds between two looks for what nobody needs

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_process(
    home: Path,
    blobs: Blobs,
    *,
    isolation: Isolation = "auto",
    hidden: Sequence[Path] = (),
    limits: Limits = USUAL,
    plain_for_all: bool = False,
    platform: Mapping[str, str] = os.environ,
) -> AsyncIterator[ProcessDriver]:
    """A driver whose replicas live in `home`, which no replica sees, nor any folder of `hidden`.

    Opening a home again finds what runs there. `auto` takes namespaces where they are permitted.
    Without them it starts replicas of one owner alone, unless it is `plain_for_all`.
    """
    home = home.resolve()
    for name in ("replicas", "layers", PARTS):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    isolated = await _isolated(home, isolation)
    sockets = _socket_folder(home)
    stage = Stage(
        home,
        blobs,
        isolated=isolated,
        hidden=[home, *hidden],
        limits=limits,
        platform=platform,
    )
    launcher = launch.Launcher()
    tenant = None if isolated or plain_for_all else Tenant(home)
    driver = ProcessDriver(home, sockets, stage, launcher, tenant)
    await asyncio.to_thread(sweep, home)
    await asyncio.to_thread(launcher.warm)
    tasks = [asyncio.create_task(work) for work in (driver.watch(), tidy(home))]
    try:
        yield driver
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await driver.finish()
        await asyncio.to_thread(launcher.close)
        with suppress(OSError):  # somebody still listens there
            sockets.rmdir()


async def _isolated(home: Path, isolation: Isolation) -> bool:
    if isolation == "plain":
        return False
    trouble = await asyncio.to_thread(launch.probe, home)
    if trouble is not None and isolation == "namespaces":
        raise Permanent(f"this machine does not permit namespaces: {trouble}")
    return trouble is None


def _socket_folder(home: Path) -> Path:
    """Short, and ours alone: `/tmp` is everybody's."""
    short = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    above = SHORT / f"slipway-{os.getuid()}"
    for folder in (above, above / short):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid != os.getuid():
            raise Permanent(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
    return above / short


async def tidy(home: Path) -> None:
    """Throw away, now and then, what nobody needs. Ends by being cancelled."""
    while True:
        await asyncio.sleep(TIDY)
        try:
            await asyncio.to_thread(sweep, home)
            await asyncio.to_thread(prune, home)
        except OSError as error:
            log.warning("what nobody needs stays for now: %s", error)


def sweep(home: Path) -> None:
    """What an earlier process left half made or half deleted; another may be at work beside us."""
    for folder in (home / PARTS).iterdir():
        with suppress(FileNotFoundError):
            if age(folder) > ABANDONED:
                delete(folder)
