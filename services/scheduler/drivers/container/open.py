"""Opens the container driver: finds the engine, and adopts what it runs for this platform."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from services.scheduler.drivers.container.driver import ContainerDriver
from services.scheduler.drivers.container.engine import Engine
from services.scheduler.drivers.container.maker import Maker
from services.scheduler.drivers.process.rubbish import PARTS
from shared import ids
from shared.errors import Invalid, Transient
from shared.registry.credentials import Credentials

ID: Final = "container-platform"
"""In the home: by what is written there, this platform's containers are known."""


def socket_url(container_socket: str, docker_host: str) -> str:
    """Where the engine is: as CONTAINER_SOCKET or DOCKER_HOST say, else where it usually is.

    Raises Invalid when there is none.
    """
    if container_socket:
        return container_socket if "://" in container_socket else f"unix://{container_socket}"
    if docker_host:
        return docker_host
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    usual = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]
    for path in (*usual, f"{own}/docker.sock", f"{own}/podman/podman.sock"):
        if os.access(path, os.R_OK | os.W_OK):
            return f"unix://{path}"
    raise Invalid("CONTAINER_SOCKET", "names no container engine, and there is none where usual")


@asynccontextmanager
async def open_container(
    home: Path, url: str, credentials: Credentials | None = None, *, gives_gpus: bool = True
) -> AsyncIterator[ContainerDriver]:
    """A driver whose replicas are containers of the engine at `url`.

    Opening a home again finds what runs. The engine need not be there yet.
    """
    home = home.resolve()
    for name in ("containers", PARTS):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    platform = identity(home)
    engine = Engine(url)
    driver = ContainerDriver(
        engine,
        home,
        platform,
        Maker(engine, platform, credentials or Credentials(), gives_gpus=gives_gpus),
    )
    watching = asyncio.create_task(driver.watch())
    try:
        with suppress(Transient):
            await driver.observe()
        yield driver
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await driver.close()
        await engine.close()


def identity(home: Path) -> str:
    """The same for every scheduler that opens this home, and for no other home."""
    with suppress(FileExistsError):
        mine = home / f"{ID}.{ids.new('p')}"
        mine.write_text(ids.new("h"))
        try:
            os.link(mine, home / ID)
        finally:
            mine.unlink()
    return (home / ID).read_text()
