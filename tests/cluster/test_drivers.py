"""What every driver promises, asked of a real cluster: the questions of tests/scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.blobs import Blobs
from tests.beds.kubernetes.bed import Cluster
from tests.cluster.target import ClusterTarget, doorman_image, pushing, target
from tests.scheduler.container.bed import Bed
from tests.scheduler.test_drivers import (
    test_a_change_is_announced,
    test_a_start_that_nobody_waits_for_is_finished,
    test_an_image_that_is_not_there_is_refused,
    test_attempts_of_a_job_are_replicas_of_their_own,
    test_starting_many_times_at_once_starts_once,
    test_starting_twice_starts_once,
    test_stopping_ends_it_and_forgets_it,
    test_stopping_what_is_gone_or_never_was_succeeds,
    test_what_is_started_becomes_ready,
    test_what_prints_has_numbered_lines,
)

__all__ = [
    "test_a_change_is_announced",
    "test_a_start_that_nobody_waits_for_is_finished",
    "test_an_image_that_is_not_there_is_refused",
    "test_attempts_of_a_job_are_replicas_of_their_own",
    "test_starting_many_times_at_once_starts_once",
    "test_starting_twice_starts_once",
    "test_stopping_ends_it_and_forgets_it",
    "test_stopping_what_is_gone_or_never_was_succeeds",
    "test_what_is_started_becomes_ready",
    "test_what_prints_has_numbered_lines",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pushed(ground: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bed, str]:
    """Where images go, and the doorman's."""
    bed = await pushing(ground)
    blobs = Blobs.open(f"file:{tmp_path_factory.mktemp('doorman')}")
    return bed, await doorman_image(bed, blobs)


@pytest.fixture
async def on(
    ground: Cluster, pushed: tuple[Bed, str], tmp_path: Path
) -> AsyncIterator[ClusterTarget]:
    bed, image = pushed
    async with target(ground, bed, image, tmp_path) as opened:
        yield opened


async def test_a_request_goes_through_the_doorman(on: ClusterTarget) -> None:
    work = await on.serving()
    address = await on.started(work)
    assert await on.get(work.replica, address, "/hello") == b'"hello"'
