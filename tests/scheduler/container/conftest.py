from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scheduler.container.bed import Bed
from tests.scheduler.targets import Target, target


@pytest.fixture
async def on(bed: Bed, tmp_path: Path) -> AsyncIterator[Target]:
    async with target("container", tmp_path, bed) as opened:
        yield opened
