"""Hearing PostgreSQL's notifications, on a connection of its own since pools take theirs back.

A notification is a nudge and may be missed: whoever waits for one also looks now and then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import asyncpg

from shared.database.pool import TROUBLE
from shared.run import chain, pause

log = logging.getLogger(__name__)

TIMEOUT: Final = 5.0
LOOK: Final = 5.0  # seconds between looks whether the connection still lives
AGAIN: Final = 1.0  # seconds before the next attempt to connect


async def listen(url: str, channel: str, heard: asyncio.Event, stopping: asyncio.Event) -> None:
    """Set `heard` on each notification, and whenever one may have been missed, until `stopping`."""
    while not stopping.is_set():
        try:
            await _session(url, channel, heard, stopping)
        except TROUBLE as error:
            log.warning("not listening to %s for now: %s", channel, error or type(error))
            await pause(AGAIN, stopping)


async def _session(url: str, channel: str, heard: asyncio.Event, stopping: asyncio.Event) -> None:
    over = asyncio.Event()
    connection = await asyncpg.connect(url, timeout=TIMEOUT, command_timeout=TIMEOUT)
    try:
        connection.add_termination_listener(lambda _: over.set())
        await connection.add_listener(channel, lambda *_: heard.set())
        heard.set()
        told = asyncio.create_task(chain(stopping, over))  # a group would wrap what is raised below
        try:
            while not over.is_set():
                await pause(LOOK, over)
                if not over.is_set():
                    await connection.execute("SELECT 1")
        finally:
            told.cancel()
    finally:
        connection.terminate()
