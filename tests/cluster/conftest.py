"""What runs on a real cluster: `make test-kubernetes`. tests/beds/kubernetes/bed.py says on which.

The acceptance tests of one machine run here as they are, on a platform whose target is the cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.conftest import http, slipway
from tests.acceptance.platform import Gpus, Platform
from tests.beds.ground import PYTHONS
from tests.beds.kubernetes import bed
from tests.beds.kubernetes.bed import Cluster
from tests.cluster import composition
from tests.cluster.installed import Installed, installed

__all__ = ["http", "slipway"]

HERE = Path(__file__).parent
OTHER = "lyon"  # a second target: another namespace, with a queue of its own
SETTINGS = {
    "SLIPWAY_PRICES": "rtx3090:0.5",
    "STOP_GRACE": "3",
    "GATEWAY_DEADLINE": "10",
    "GATEWAY_SAMPLES": "500",
    "POD_DRAIN": "2",
    "NETWORK_POLICIES": "required",
}
ORDER = (
    "bed",
    "chart",
    "valohai",
    "proximl",
    "hydrosphere",
    "copies",
    "trust",
    "drills",
    "walls",
)
"""Files that come first, in this order: the first sees an installation that is new, drills and walls
leave one behind that is not as it was."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = [f"test_{name}" for name in ORDER]

    def place(item: pytest.Item) -> int:
        return names.index(item.path.stem) if item.path.stem in names else len(names)

    if all(item.path.parent == HERE for item in items):
        items.sort(key=place)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return bed.cluster()


@pytest.fixture(scope="session")
def ground(cluster: Cluster) -> Cluster:
    """The cluster with base images in its registry."""
    # a process of its own, since authorities are read when a process starts
    subprocess.run(
        [sys.executable, "-m", "tests.beds.bases", cluster.registry, *PYTHONS],
        env={**os.environ, **cluster.environment},
        check=True,
    )
    return cluster


@pytest.fixture(scope="session")
def images(ground: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The platform's own in the registry, as the chart's values name them."""
    return composition.images(ground, tmp_path_factory.mktemp("images"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def release(
    ground: Cluster, images: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installed]:
    """One installation for all tests that leave it as it was."""
    home = tmp_path_factory.mktemp("home")
    opening = installed(ground, images, home, OTHER, **SETTINGS)
    async with ground.gpus(4), opening as opened:
        yield opened


@pytest.fixture(scope="session")
def platform(release: Installed) -> Platform:
    return release.platform


@pytest.fixture
def gpus() -> Gpus:
    """What a server sees of them is for the cluster's own software to say, which it has not."""
    return Gpus("rtx3090", 4, other="cpu", visible=None)


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    async with cluster.namespace() as name:
        yield name
