"""The container target's engine, one for all tests; each keeps to a platform of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.scheduler.container.bed import Bed, made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    async with made(tmp_path_factory.mktemp("container")) as bed:
        yield bed
