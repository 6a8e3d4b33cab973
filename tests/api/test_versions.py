"""Versions and lone endpoints: what is written when they are submitted."""

from __future__ import annotations

import asyncio
import re

from tests.api.conftest import ROUTER, World


async def test_a_version_is_made_with_a_job_for_each_endpoint(world: World) -> None:
    version = await world.version()
    assert re.fullmatch(r"\d{8}\.0", version["name"])
    assert version["state"] == "building"
    assert set(version["jobs"]) == {"greet", "digit"}
    url = f"{ROUTER}/ann/house/mnist/{version['name']}/greet"
    assert version["urls"]["greet"] == url
    job = (await world.ask("GET", f"/v1/jobs/{version['jobs']['greet']}")).body
    assert job["name"] == f"mnist/{version['name']}/greet"
    assert (job["state"], job["url"], job["version"]) == ("submitted", None, version["id"])


async def test_the_facts_are_written_with_the_version(world: World) -> None:
    await world.version()
    rows = await world.database.fetch("SELECT type, source FROM events ORDER BY seq")
    assert [row["type"] for row in rows] == [
        "slipway.deployment.created.v1",
        "slipway.version.submitted.v1",
        "slipway.job.submitted.v1",
        "slipway.job.submitted.v1",
    ]
    assert {row["source"] for row in rows} == {"/ann/house"}


async def test_versions_made_at_once_get_names_of_their_own(world: World) -> None:
    made = await asyncio.gather(*(world.version() for _ in range(6)))
    assert sorted(version["name"].partition(".")[2] for version in made) == list("012345")


async def test_a_version_named_with_a_huge_number_leaves_names_for_the_next(world: World) -> None:
    today = (await world.version())["name"].partition(".")[0]
    await world.version(name=f"{today}.999999999999")
    made = [(await world.version())["name"] for _ in range(2)]
    assert made == [f"{today}.1000000000000", f"{today}.1000000000001"]


async def test_a_lone_endpoint_is_a_job_with_a_version_called_like_it(world: World) -> None:
    job = await world.made(f"{world.place}/endpoints", await world.endpoint())
    assert (job["name"], job["state"], job["deployment"]) == ("classify", "submitted", None)
    assert job["version_name"] == job["id"]
    listed = (await world.ask("GET", f"{world.place}/jobs")).body
    assert [found["id"] for found in listed["items"]] == [job["id"]]
