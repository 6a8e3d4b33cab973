"""The process driver in both of its ways, and in its better way alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scheduler.targets import Kind, Target, target


@pytest.fixture(params=["namespaces", "plain"])
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Target]:
    kind: Kind = request.param
    async with target(kind, tmp_path) as opened:
        yield opened


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[Target]:
    async with target("namespaces", tmp_path) as opened:
        yield opened
