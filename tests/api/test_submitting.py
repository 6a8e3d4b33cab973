"""Submissions: what one endpoint's costs, and that it is told as it is read later."""

from __future__ import annotations

from typing import Any

import pytest

from services.api import gpus
from tests.api.conftest import World


async def test_a_submission_is_answered_as_the_job_is_read(world: World) -> None:
    await world.gpus(a100=2)
    wish = await world.endpoint(gpu_types=["a100"], gpu_count=2, max_price=2.0, disk_size=20)
    more = {"start_within": 600, "run_at_most": 60, "preemptible": True}
    said = await world.made(f"{world.place}/endpoints", {**wish, "scheduling": more})
    assert (await world.ask("GET", f"/v1/jobs/{said['id']}")).body == said
    assert said["version_name"] == said["id"]
    listed = await world.ask("GET", "/v1/jobs?name=classify")
    assert listed.body["items"] == [said]


async def test_a_submission_announces_its_version_and_then_its_job(world: World) -> None:
    said = await world.made(f"{world.place}/endpoints", await world.endpoint())
    found: Any
    async with world.database.connection() as connection:
        found = await connection.fetch(
            "SELECT type, subject, source, data FROM events"
            " WHERE subject = ANY ($1::text[]) ORDER BY seq",
            [said["id"], said["version"]],
        )
    assert [(row["type"], row["subject"]) for row in found] == [
        ("slipway.version.submitted.v1", said["version"]),
        ("slipway.job.submitted.v1", said["id"]),
    ]
    assert {row["source"] for row in found} == {"/ann/house"}
    assert found[1]["data"]["version"] == said["version"]


async def test_a_name_that_is_taken_leaves_nothing_behind(world: World) -> None:
    wish = await world.endpoint()
    await world.made(f"{world.place}/endpoints", wish)
    headers = {"Idempotency-Key": "another"}  # so that it is found when it is written
    said = await world.ask("POST", f"{world.place}/endpoints", wish, headers=headers)
    assert (said.status, said.problem) == (409, "name-taken")
    assert await world.database.value("SELECT count(*) FROM versions") == 1
    assert await world.database.value("SELECT count(*) FROM jobs") == 1


async def test_gpus_that_came_a_moment_ago_may_be_asked_for(world: World) -> None:
    """What is remembered of a target never refuses anybody."""
    await world.gpus(a100=1)
    await world.made(f"{world.place}/endpoints", await world.endpoint(gpu_types=["a100"]))
    wish = await world.endpoint("two", gpu_types=["a100"], gpu_count=2)
    assert (await world.ask("POST", f"{world.place}/endpoints", wish)).status == 422
    await world.database.execute(
        "INSERT INTO gpus (id, target, type, device) VALUES ('process/a100-1', 'process', 'a100', '1')"
    )
    assert (await world.ask("POST", f"{world.place}/endpoints", wish)).status == 201


async def test_a_target_is_not_looked_at_anew_for_every_submission(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = [], gpus.stock_of

    async def counted(*values: Any) -> gpus.Stock:
        looks.append(values)
        return await look(*values)

    monkeypatch.setattr(gpus, "stock_of", counted)
    monkeypatch.setattr(gpus, "LATE", 3600.0)
    for name in ("one", "two", "three"):
        await world.made(f"{world.place}/endpoints", await world.endpoint(name))
    assert len(looks) == 1


async def test_code_that_is_submitted_is_not_forgotten_and_a_preview_notes_nothing(
    world: World,
) -> None:
    wish, long_ago = await world.endpoint(), "now() - used_at > '2 days'::interval"
    await world.database.execute("UPDATE uploads SET used_at = now() - '3 days'::interval")
    assert (await world.made(f"{world.place}/endpoints/review", wish))["ok"]
    assert await world.database.value(f"SELECT {long_ago} FROM uploads")
    await world.made(f"{world.place}/endpoints", wish)
    assert not await world.database.value(f"SELECT {long_ago} FROM uploads")


async def test_code_of_another_project_is_not_there(world: World) -> None:
    wish = await world.endpoint()
    said = await world.ask("POST", "/v1/projects/bob/barn/endpoints", wish, as_="bob")
    assert (said.status, said.fields) == (422, ["model.source_uri"])
