"""What tests of the scheduler stand on: tables with an owner, and targets.

The container target has one engine for all tests; each keeps to a platform of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.database.pool import Database
from tests.scheduler.container.bed import Bed, made
from tests.scheduler.stage import Stage
from tests.scheduler.targets import Kind, Target, target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    async with made(tmp_path_factory.mktemp("container")) as bed:
        yield bed


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    return stage


@pytest.fixture
def engine(kind: Kind, request: pytest.FixtureRequest) -> Bed | None:
    """Only where it is needed, for it takes a while."""
    return request.getfixturevalue("bed") if kind == "container" else None


@pytest.fixture
async def on(kind: Kind, engine: Bed | None, tmp_path: Path) -> AsyncIterator[Target]:
    async with target(kind, tmp_path, engine) as opened:
        yield opened
