"""What the tests call, and how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.address import Address
from shared.unary import Channel, Failed, Limits

PATH = b"/made.up.Service/Method"


def soon(seconds: float = 60.0) -> float:
    return asyncio.get_running_loop().time() + seconds


@asynccontextmanager
async def channel(address: Address, limits: Limits | None = None) -> AsyncIterator[Channel]:
    made = await Channel.open(address, 30, limits=limits or Limits())
    try:
        yield made
    finally:
        made.close()


async def ask(through: Channel, message: bytes = b"question", seconds: float = 60.0) -> bytes:
    return await through.call(PATH, message, soon(seconds))


async def failing(through: Channel, message: bytes = b"question", seconds: float = 60.0) -> Failed:
    with pytest.raises(Failed) as caught:
        await ask(through, message, seconds)
    return caught.value
