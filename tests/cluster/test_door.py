"""A real API server answers as the fake does: the same questions, the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.scheduler.drivers.kubernetes.door import open_cluster
from tests.beds.kubernetes.bed import Cluster
from tests.scheduler.kubernetes.contract import *  # noqa: F403
from tests.scheduler.kubernetes.contract import Stage


@pytest.fixture
async def stage(ground: Cluster, namespace: str) -> AsyncIterator[Stage]:
    async with open_cluster(str(ground.kubeconfig), "", namespace) as cluster:
        yield Stage(cluster, f"{ground.registry}/python:3.11")
