"""Between a client and the API server: passes bytes on, unread, and counts them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

PIECE: Final = 1 << 16


class Meter:
    def __init__(self, host: str, port: int) -> None:
        self._there = host, port
        self.sent = 0  # to the API server
        self.received = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection(*self._there)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pipe(reader, there, up=True))
                group.create_task(self._pipe(back, writer, up=False))
        except* OSError:
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _pipe(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while piece := await source.read(PIECE):
            if up:
                self.sent += len(piece)
            else:
                self.received += len(piece)
            sink.write(piece)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof()


@asynccontextmanager
async def metered(kubeconfig: Path, copy: Path) -> AsyncIterator[Meter]:
    """Writes `copy`, a kubeconfig for the same cluster by way of the meter."""
    told = yaml.safe_load(kubeconfig.read_text())
    contexts = {each["name"]: each["context"] for each in told["contexts"]}
    named = contexts[told["current-context"]]["cluster"]
    cluster = next(each["cluster"] for each in told["clusters"] if each["name"] == named)
    url = urlsplit(cluster["server"])
    assert url.hostname
    meter = Meter(url.hostname, url.port or 443)
    server = await asyncio.start_server(meter.pass_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster["server"] = f"{url.scheme}://127.0.0.1:{port}"
    cluster.setdefault("tls-server-name", url.hostname)
    copy.write_text(json.dumps(told))
    copy.chmod(0o600)
    try:
        yield meter
    finally:
        server.close()
