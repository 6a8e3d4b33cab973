"""Ending a build that nobody wants any more, and how many versions may wait at a time."""

from __future__ import annotations

import asyncio

import pytest

from services.api.context import Context
from tests.api.conftest import World

VERSIONS = "/v1/projects/ann/house/deployments/mnist/versions"


async def state_of(world: World, version: str) -> tuple[str, str]:
    row = await world.database.row("SELECT state, reason FROM versions WHERE id = $1", version)
    assert row is not None
    return row["state"], row["reason"]


async def announced(world: World) -> list[str]:
    rows = await world.database.fetch("SELECT type FROM events ORDER BY seq")
    return [row["type"].removeprefix("slipway.") for row in rows]


async def test_a_cancelled_version_fails_with_its_jobs_and_all_of_it_is_announced_once(
    world: World,
) -> None:
    version = await world.version(name="v1")
    said = [await world.ask("POST", f"{VERSIONS}/v1/cancel") for _ in range(2)]
    assert [answer.status for answer in said] == [200, 200]
    assert (said[0].body["state"], said[0].body["reason"]) == ("failed", "cancelled")
    assert said[1].body == said[0].body
    for job in version["jobs"].values():
        found = (await world.ask("GET", f"/v1/jobs/{job}")).body
        assert (found["state"], found["reason"]) == ("failed", "cancelled")
    assert (await announced(world))[-3:] == ["version.failed.v1", "job.failed.v1", "job.failed.v1"]


async def test_a_builder_loses_what_is_cancelled(world: World) -> None:
    await world.version(name="v1")
    await world.database.execute(
        "UPDATE versions SET lease = 'l1', lease_until = now() + '1 hour'::interval"
    )
    assert (await world.ask("POST", f"{VERSIONS}/v1/cancel")).status == 200
    assert await world.database.value("SELECT lease FROM versions") is None


async def test_of_many_who_cancel_at_once_one_does(world: World) -> None:
    await world.version(name="v1")
    said = await asyncio.gather(*(world.ask("POST", f"{VERSIONS}/v1/cancel") for _ in range(6)))
    assert {answer.status for answer in said} == {200}
    assert (await announced(world)).count("version.failed.v1") == 1


async def test_a_version_that_is_ready_is_not_cancelled(world: World) -> None:
    version = await world.version(name="v1")
    await world.put_state(version["jobs"]["greet"], "running")
    said = await world.ask("POST", f"{VERSIONS}/v1/cancel")
    assert (said.status, said.problem) == (409, "version-state")
    assert await state_of(world, version["id"]) == ("ready", "")


async def test_stopping_a_job_leaves_its_build_alone(world: World) -> None:
    """It may be restarted, and then needs its image."""
    job = await world.made(f"{world.place}/endpoints", await world.endpoint())
    await world.made(f"/v1/jobs/{job['id']}/stop")
    assert await state_of(world, job["version"]) == ("building", "")


async def test_the_last_job_that_is_terminated_ends_the_build(world: World) -> None:
    version = await world.version()
    states = []
    for job in version["jobs"].values():
        await world.put_state(job, "stopped", version="building")
        await world.made(f"/v1/jobs/{job}/terminate")
        states.append(await state_of(world, version["id"]))
    assert states == [("building", ""), ("failed", "cancelled")]


async def test_terminating_a_job_of_a_ready_version_leaves_the_version(world: World) -> None:
    job = await world.made(f"{world.place}/endpoints", await world.endpoint())
    await world.put_state(job["id"], "stopped")
    await world.made(f"/v1/jobs/{job['id']}/terminate")
    assert await state_of(world, job["version"]) == ("ready", "")


@pytest.fixture
def two_builds(context: Context) -> None:
    context.builds_per_owner = 2


@pytest.mark.usefixtures("two_builds")
async def test_an_owner_has_only_so_many_versions_waiting_whichever_kind(world: World) -> None:
    wish = await world.wish()
    made = await asyncio.gather(*(world.ask("POST", VERSIONS, wish) for _ in range(6)))
    assert sorted(answer.status for answer in made) == [201, 201, 429, 429, 429, 429]
    said = await world.ask("POST", f"{world.place}/endpoints", await world.endpoint())
    assert (said.status, said.problem) == (429, "queue-full")
    assert "at most 2 of an owner's versions" in said.body["detail"]
    assert int(said.headers["Retry-After"]) > 0
    assert await world.database.value("SELECT count(*) FROM versions") == 2


@pytest.mark.usefixtures("two_builds")
async def test_endpoints_that_come_at_once_are_counted_one_by_one(world: World) -> None:
    wishes = [await world.endpoint(name=f"e{number}") for number in range(6)]
    asking = (world.ask("POST", f"{world.place}/endpoints", wish) for wish in wishes)
    made = await asyncio.gather(*asking)
    assert sorted(answer.status for answer in made) == [201, 201, 429, 429, 429, 429]
    assert await world.database.value("SELECT count(*) FROM jobs") == 2


@pytest.mark.usefixtures("two_builds")
async def test_others_are_not_held_up_and_there_is_room_again(world: World) -> None:
    for number in range(2):
        await world.version(name=f"v{number}")
    source = await world.upload(b"x", as_="bob", place="/v1/projects/bob/barn")
    asked = await world.ask(
        "POST",
        "/v1/projects/bob/barn/endpoints",
        {**await world.endpoint(), "model": {"source_type": "local", "source_uri": source}},
        as_="bob",
    )
    assert asked.status != 429
    await world.ask("POST", f"{VERSIONS}/v1/cancel")
    await world.version(name="v2")
