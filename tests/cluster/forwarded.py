"""The way to a service of a cluster whose addresses are not reached from this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from tests.beds import debian
from tests.beds.kubernetes.bed import Cluster

WITHIN: Final = 60.0  # seconds until it leads there
AGAIN: Final = 'while :; do "$@"; sleep 0.2; done'


@asynccontextmanager
async def forwarded(
    cluster: Cluster, namespace: str, name: str, port: int, url: str
) -> AsyncIterator[None]:
    """The URL, of a port of this machine, leads to a service; to another pod of it when one goes.

    By processes of their own, since no loop runs between two tests.
    """
    kubectl = debian.program("kubectl", "kubernetes-client")
    local = urlsplit(url).port
    words = ("--namespace", namespace, "port-forward", f"service/{name}", f"{local}:{port}")
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", AGAIN, "forward", kubectl, *words),
        env={**os.environ, **cluster.environment},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WITHIN):
            while not await _open(local):
                await asyncio.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def _open(port: int | None) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True
    return False
