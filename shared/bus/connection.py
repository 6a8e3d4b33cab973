"""Connections to RabbitMQ that never wait for ever, and the ways in which it can be away.

Connections here are plain, not aio-pika's "robust" ones: what must be restored after a loss is
declared anew by whoever needs it, in one place that can be read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from shared.errors import Transient

CONNECT: Final = 5.0
CALL: Final = 5.0  # seconds that the broker may take to answer a call
SETUP: Final = 10.0  # seconds for all the calls that begin a session
CLOSE: Final = 1.0
HEARTBEAT: Final = 10  # seconds; a connection that went silent is noticed within three
LONGEST: Final = 5.0  # seconds between attempts to connect

AWAY: Final = (*CONNECTION_EXCEPTIONS, TimeoutError)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """A deadline for calls of the broker, and Transient for every way in which it is away."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        async with asyncio.timeout(seconds):
            yield
    except AWAY as error:
        raise Transient(f"RabbitMQ: {error or type(error).__name__}") from error
    except asyncio.CancelledError as error:
        # aiormq cancels what waits on a connection that is lost; only a task that was itself
        # cancelled has to end
        if task.cancelling() > before:
            raise
        raise Transient("RabbitMQ: the connection was lost") from error


async def connect(url: str, purpose: str) -> AbstractConnection:
    """A new connection, known to the broker by its `purpose`. Raises Transient."""
    async with within(CONNECT):
        return await aio_pika.connect(
            URL(url).update_query({"heartbeat": HEARTBEAT, **URL(url).query}),
            timeout=CONNECT,
            client_properties={"connection_name": f"slipway {purpose}"},
        )


async def close(connection: AbstractConnection) -> None:
    """Close it, whatever state it is in."""
    with suppress(Transient):
        async with within(CLOSE):
            await connection.close()


def backoff(failures: int) -> float:
    """Seconds before the next attempt: longer after each, and never two processes in step."""
    return float(min(LONGEST, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0))
