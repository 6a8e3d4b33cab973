"""What runs on a real cluster: `make test-kubernetes`. tests/beds/kubernetes/bed.py says on which."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from tests.beds.ground import PYTHONS
from tests.beds.kubernetes import bed
from tests.beds.kubernetes.bed import Cluster


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


@pytest.fixture
async def namespace(cluster: Cluster) -> AsyncIterator[str]:
    async with cluster.namespace() as name:
        yield name
