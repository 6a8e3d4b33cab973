"""The builder's HTTP door: /livez, /readyz and /metrics for operators."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from shared.errors import Transient
from shared.http import serve
from shared.run import Loop
from shared.service import Floor


def door(host: str, port: int, linger: float, floor: Floor) -> Sequence[Loop]:
    """One loop, or none when `port` is 0. Ready means that the database answers."""
    if port == 0:
        return []

    async def ready() -> str | None:
        try:
            await floor.database.value("SELECT 1")
        except Transient as error:
            return str(error)
        return None

    return [serve(web.Application(), host=host, port=port, ready=ready, linger=linger)]
