from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from tests.router.models import Doors, doors


@pytest.fixture
async def router() -> AsyncIterator[Doors]:
    async with doors() as found:
        yield found


@pytest.fixture
async def channel(router: Doors) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(router.address, options=options) as found:
        yield found
