"""The service as it is composed, and what the embedded platform asks of it first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from services.api.first import first_token
from services.api.main import Config, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.database.pool import Database
from shared.service import Floor
from tests.api.conftest import listens


async def test_it_serves_until_it_is_told_to_stop(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    config = Config(database_url=database_url, api_port=unused_port(), grace=2.0)
    floor = Floor(database, LocalBus(), Blobs.open(f"file:{tmp_path}"))
    stopping = asyncio.Event()
    first, second = await first_token(database), await first_token(database)
    assert first != second
    async with compose(config, floor) as loops:
        serving = [asyncio.ensure_future(loop(stopping)) for loop in loops]
        while not await listens(config.api_port):
            await asyncio.sleep(0)
        url = f"http://127.0.0.1:{config.api_port}/v1/projects"
        sent = {"Authorization": f"Bearer {first}"}
        async with ClientSession(headers=sent) as session, session.get(url) as answer:
            made = await answer.json()
        stopping.set()
        await asyncio.gather(*serving)
    assert [(item["owner"], item["name"]) for item in made["items"]] == [("local", "default")]
