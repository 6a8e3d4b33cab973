"""A client that is quicker than the news of what it has just made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

import services.router.door
from services.router.door import Options
from shared.lifecycle import State
from tests.router.conftest import PREFIX, Router, alias, running
from tests.router.origin import Origin, origin

PATIENT = Options(patience=0.0, news=5.0)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with running(PATIENT) as found:
        yield found


@pytest.fixture
async def backend() -> AsyncIterator[Origin]:
    async with origin() as found:
        yield found


async def test_a_request_waits_for_the_alias_it_names(router: Router, backend: Origin) -> None:
    router.route(addresses=(backend.address,))
    asked = asyncio.create_task(router.ask("/ann/shop/mnist/production/predict"))
    while not router.door.waiting:
        await asyncio.sleep(0.001)
    router.table.point([alias()])
    assert (await asked).status == 200


async def test_a_request_waits_for_a_replica_that_is_about_to_run(
    router: Router, backend: Origin
) -> None:
    router.route(state=State.STARTING, addresses=())
    asked = asyncio.create_task(router.ask(PREFIX))
    while not router.door.waiting:
        await asyncio.sleep(0.001)
    router.route(addresses=(backend.address,))
    assert (await asked).status == 200


async def test_what_is_queued_or_stopped_is_told_at_once(router: Router) -> None:
    for state in (State.QUEUED, State.STOPPED, State.FAILED):
        router.route(state=state, addresses=())
        began = time.monotonic()
        assert (await router.ask(PREFIX)).status == 503
        assert time.monotonic() - began < PATIENT.news


async def test_few_may_wait_and_the_others_are_told_at_once(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.router.door, "MOST_WAITING", 2)
    patient = [asyncio.create_task(router.ask("/a/b/c/d/e")) for _ in range(2)]
    while router.door.waiting < 2:
        await asyncio.sleep(0.001)
    assert (await router.ask("/a/b/c/d/e")).status == 404
    assert not any(task.done() for task in patient)
    for task in patient:
        task.cancel()
    await asyncio.gather(*patient, return_exceptions=True)
