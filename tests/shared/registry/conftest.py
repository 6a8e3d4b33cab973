from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.registry import Reference, Registries
from tests.beds.registry import registry
from tests.shared.registry.made import QUICK


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with registry(tmp_path / "registry") as address:
        yield address


@pytest.fixture
async def registries() -> AsyncIterator[Registries]:
    async with Registries.open() as registries:
        yield registries


@pytest.fixture
async def hasty() -> AsyncIterator[Registries]:
    """With little patience, for registries that try it."""
    async with Registries.open(limits=QUICK) as registries:
        yield registries


@pytest.fixture
def app(address: str) -> Reference:
    return Reference(address, "team/app")
