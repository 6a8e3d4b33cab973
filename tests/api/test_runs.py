"""Batch jobs over HTTP: how they are made, how they are shown, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.api import gpus
from services.api.context import Context
from shared.database.jobs import PostgresJobs
from shared.endpoint import Run
from tests.api.conftest import World

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "command"),
    ({"command": ""}, "command"),
    ({"command": []}, "command"),
    ({"command": "true", "array": 1001}, "array"),
    ({"command": "true", "array": 0}, "array"),
    ({"command": "true", "retries": 11}, "retries"),
    ({"command": "true", "timeout": 0}, "timeout"),
    ({"command": "true", "endpoint": "none"}, "endpoint"),
    ({"command": "true", "endpoint": ""}, "endpoint"),
    ({"command": "true", "variables": {"SLIPWAY_JOB": "x"}}, "variables.SLIPWAY_JOB"),
    ({"command": "true", "variables": {"a b": "x"}}, "variables"),
    ({"command": "true", "gpus": {"types": ["t4"], "count": 3}}, "gpus.count"),
    ({"command": "é" * 70_000}, "command"),  # more than Linux takes
    ({"command": ["x" * 9_000] * 20}, "command"),
    ({"command": "true", "variables": {"LONG": "x" * 131_072}}, "variables.LONG"),
    ({"command": "true", "gpus": {"types": ["h100"]}}, "gpus.types"),
    ({"command": "true", "scheduling": {"priority": "high"}}, "scheduling.priority"),
    ({"command": "true", "gpus": {"types": ["t4", "x" * 64]}}, "gpus.types"),
    ({"command": "true", "gpus": {"types": ["t4"] * 51}}, "gpus.types"),
    ({"command": "x" * 90_000, "array": 1_000}, "array"),  # each has its own copy of it
    ({"command": "true", "more": 1}, ""),
]


async def ready(world: World, **more: Any) -> str:
    """Where a version that is built has commands run."""
    version = await world.version(name="v1", **more)
    await world.database.execute("UPDATE versions SET state = 'ready'")
    return f"{world.place}/deployments/mnist/versions/{version['name']}/runs"


async def facts(world: World, job: str) -> list[str]:
    rows = await world.database.fetch(
        "SELECT type FROM events WHERE subject = $1 ORDER BY seq", job
    )
    return [row["type"].split(".")[2] for row in rows]


async def test_a_command_becomes_a_job_in_the_queue(world: World) -> None:
    path = await ready(world)
    asked = {"endpoint": "greet", "command": "python train.py", "variables": {"SEED": "1"}}
    made = await world.made(path, {**asked, "timeout": 60, "retries": 2})
    assert made["counts"] == {"queued": 1}
    (job,) = made["jobs"]
    shown = (await world.ask("GET", f"/v1/jobs/{job['id']}")).body
    assert (shown["kind"], shown["state"], shown["retries"]) == ("batch", "queued", 2)
    assert (shown["series"], shown["place"], shown["exit_code"]) == (made["id"], 0, None)
    assert shown["name"] == made["name"] == f"mnist/v1/{made['id']}"
    found = await PostgresJobs(world.database).get(job["id"])
    assert found is not None
    assert found.run == Run(
        lines=("python train.py",),
        timeout=60,
        variables={"SEED": "1", "SLIPWAY_ARRAY_INDEX": "0", "SLIPWAY_ARRAY_SIZE": "1"},
    )
    assert await facts(world, job["id"]) == ["submitted", "queued"]
    assert (await world.ask("GET", f"/v1/series/{made['id']}")).body == made


async def test_an_array_is_made_as_a_whole_and_each_knows_its_place(world: World) -> None:
    path = await ready(world)
    asked = {"endpoint": "greet", "command": ["make", "make test"], "array": 300, "name": "sweep"}
    made = await world.made(path, asked)
    assert (made["name"], made["command"], len(made["jobs"])) == (
        "sweep",
        ["make", "make test"],
        300,
    )
    assert [job["place"] for job in made["jobs"]] == list(range(300))
    rows = await world.database.fetch(
        "SELECT name, run -> 'variables' AS said, owner FROM jobs WHERE series = $1 ORDER BY place",
        made["id"],
    )
    assert rows[7]["name"] == "sweep/7"
    assert rows[7]["said"] == {"SLIPWAY_ARRAY_INDEX": "7", "SLIPWAY_ARRAY_SIZE": "300"}
    assert {row["owner"] for row in rows} == {"ann"}
    again = await world.ask("POST", path, asked)
    assert (again.status, again.problem) == (409, "name-taken")
    count = await world.database.value("SELECT count(*) FROM jobs WHERE kind = 'batch'")
    assert count == 300


async def test_what_is_not_built_yet_waits_for_that(world: World) -> None:
    version = await world.version(name="v1")
    path = f"{world.place}/deployments/mnist/versions/v1/runs"
    made = await world.made(path, {"endpoint": "greet", "command": "true"})
    assert made["counts"] == {"submitted": 1}
    # what an endpoint's name leads to is still its endpoint
    shown = (await world.ask("GET", path.removesuffix("/runs"))).body
    assert shown["jobs"] == version["jobs"]
    await world.database.execute("UPDATE versions SET state = 'failed'")
    said = await world.ask("POST", path, {"endpoint": "greet", "command": "true"})
    assert (said.status, said.problem) == (409, "version-state")


async def test_what_is_built_while_it_is_submitted_queues(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.version(name="v1")
    looked = gpus.late_stock_of

    async def built(context: Context, target: str) -> gpus.Stock:
        """After the version was looked at, and before anything is written."""
        await world.database.execute("UPDATE versions SET state = 'ready'")
        return await looked(context, target)

    monkeypatch.setattr(gpus, "late_stock_of", built)
    path = f"{world.place}/deployments/mnist/versions/v1/runs"
    made = await world.made(path, {"endpoint": "greet", "command": "true", "array": 2})
    assert made["counts"] == {"queued": 2}
    assert (await world.ask("GET", f"/v1/series/{made['id']}")).body == made


async def test_gpus_are_the_endpoints_unless_others_are_asked_for(world: World) -> None:
    await world.gpus(t4=2, a100=1)
    path = await ready(world)
    wish = {"types": ["A100", "t4"], "count": 1, "max_price": 2}
    asked = {"endpoint": "greet", "command": "true", "gpus": wish}
    job = (await world.made(path, asked))["jobs"][0]["id"]
    row = await world.database.row("SELECT * FROM jobs WHERE id = $1", job)
    assert row is not None
    assert (row["gpu_types"], row["gpu_count"], row["max_price"]) == (["a100", "t4"], 1, 2.0)


async def test_other_gpus_have_no_price_of_the_endpoints(world: World) -> None:
    await world.gpus(t4=2, a100=1)
    wish = await world.endpoint("classify")
    wish["resources"] = {"gpu_types": ["t4"], "gpu_count": 1, "max_price": 9}
    lone = (await world.made(f"{world.place}/endpoints", wish))["id"]
    await world.database.execute("UPDATE versions SET state = 'ready'")
    path, prices = f"/v1/jobs/{lone}/runs", "SELECT max_price FROM jobs WHERE series = $1"
    for asked, price in (({"gpus": {"types": ["a100"]}}, None), ({}, 9.0)):
        made = await world.made(path, {"command": "true", **asked})
        assert await world.database.value(prices, made["id"]) == price


async def test_a_type_that_is_asked_for_twice_is_asked_for_once(world: World) -> None:
    await world.gpus(t4=2, a100=1)
    wish = {"types": ["t4", "A100", "T4"]}
    asked = {"endpoint": "greet", "command": "true", "gpus": wish}
    job = (await world.made(await ready(world), asked))["jobs"][0]["id"]
    types = await world.database.value("SELECT gpu_types FROM jobs WHERE id = $1", job)
    assert types == ["t4", "a100"]


async def test_what_can_not_be_run_is_refused_by_name(world: World) -> None:
    await world.gpus(t4=2)
    path = await ready(world)
    for asked, field in REFUSED:
        said = await world.ask("POST", path, {"endpoint": "greet", **asked})
        assert said.status == 422, (asked, said)
        assert said.fields[0].startswith(field), (asked, said)


async def test_a_job_without_a_deployment_has_commands_run_in_its_image(world: World) -> None:
    job = (await world.made(f"{world.place}/endpoints", await world.endpoint("classify")))["id"]
    await world.put_state(job, "running")
    made = await world.made(f"/v1/jobs/{job}/runs", {"command": "python check.py"})
    assert made["deployment"] is None
    assert made["name"] == f"classify/{made['id']}"
    assert made["counts"] == {"queued": 1}
    again = await world.made(f"/v1/jobs/{made['jobs'][0]['id']}/runs", {"command": "true"})
    assert again["name"] == f"classify/{again['id']}"


async def test_what_is_terminated_has_no_image_left_to_run_commands_in(world: World) -> None:
    lone = (await world.made(f"{world.place}/endpoints", await world.endpoint("classify")))["id"]
    version = await world.version(name="v1")
    kept = version["jobs"]["greet"]
    await world.database.execute("UPDATE versions SET state = 'ready'")
    for state in ("terminated", "purged"):
        for job, status in ((lone, 409), (kept, 201)):
            await world.put_state(job, state)
            said = await world.ask("POST", f"/v1/jobs/{job}/runs", {"command": "true"})
            assert said.status == status
    assert said.status == 201
    said = await world.ask("POST", f"/v1/jobs/{lone}/runs", {"command": "true"})
    assert (said.problem, "submit it anew" in said.body["detail"]) == ("no-image", True)


async def test_a_series_is_stopped_and_given_up_as_a_whole(world: World) -> None:
    path = await ready(world)
    made = await world.made(path, {"endpoint": "greet", "command": "true", "array": 3})
    first, second, _ = (job["id"] for job in made["jobs"])
    await world.put_state(first, "finished")
    await world.put_state(second, "running")
    stopped = await world.made(f"/v1/series/{made['id']}/stop")
    assert stopped["counts"] == {"finished": 1, "stopping": 2}
    assert (await world.made(f"/v1/series/{made['id']}/stop")) == stopped
    ended = await world.made(f"/v1/series/{made['id']}/terminate")
    assert ended["counts"] == {"terminated": 1, "stopping": 2}


async def test_of_one_that_has_finished_it_is_said_what_can_be_done(world: World) -> None:
    asked = {"endpoint": "greet", "command": "true"}
    job = (await world.made(await ready(world), asked))["jobs"][0]["id"]
    await world.put_state(job, "finished")
    said = await world.ask("POST", f"/v1/jobs/{job}/stop", {})
    assert said.body["detail"] == "a finished job can only be terminated"


async def test_others_see_nothing_of_it(world: World) -> None:
    path = await ready(world)
    made = await world.made(path, {"endpoint": "greet", "command": "true"})
    for verb, place in (("GET", ""), ("POST", "/stop"), ("POST", "/terminate")):
        said = await world.ask(verb, f"/v1/series/{made['id']}{place}", as_="bob")
        assert said.status == 404
    assert (await world.ask("POST", path, {"command": "true"}, as_="bob")).status == 404
    assert (await world.ask("POST", path, {"command": "true"}, as_="reader")).status == 403


async def test_a_batch_job_takes_no_requests_and_has_no_copies(world: World) -> None:
    path = await ready(world)
    made = await world.made(path, {"endpoint": "greet", "command": "true"})
    job = made["jobs"][0]["id"]
    await world.put_state(job, "running")
    assert (await world.ask("GET", f"/v1/jobs/{job}")).body["url"] is None
    assert (await world.ask("GET", f"/v1/jobs/{job}/connection")).problem == "batch-job"
    said = await world.ask("POST", f"/v1/jobs/{job}/scale", {"copies": 2})
    assert said.problem == "batch-job"


async def test_who_waits_for_a_version_holds_up_no_other_owner(world: World) -> None:
    path, barn = await ready(world), "/v1/projects/bob/barn"
    deployment = await world.made(f"{barn}/deployments", {"name": "d"}, as_="bob")
    await world.database.execute(
        "INSERT INTO versions (id, project, deployment, name, state, definition)"
        " SELECT 'v-bob', projects.seq, $1, 'one', 'ready', definition"
        "   FROM projects, versions WHERE owner = 'bob' AND versions.name = 'v1'",
        deployment["id"],
    )
    theirs = f"{barn}/deployments/d/versions/one/runs"
    asked = {"endpoint": "greet", "command": "true"}
    async with world.database.transaction() as builder:
        await builder.execute("SELECT FROM versions WHERE name = 'v1' FOR UPDATE")
        mine = asyncio.ensure_future(world.ask("POST", path, asked))
        others = (world.ask("POST", theirs, asked, as_="bob") for _ in range(4))
        assert [said.status for said in await asyncio.gather(*others)] == [201] * 4
        assert not mine.done()
    assert (await mine).status == 201


async def test_names_that_come_crosswise_at_once_are_taken_once(world: World) -> None:
    path = await ready(world)
    asked = {"endpoint": "greet", "command": "true"}
    asking = [world.ask("POST", path, {**asked, "name": name}) for name in "abcdabdcbadc"]
    said = await asyncio.gather(*asking)
    assert sorted(each.status for each in said) == [201] * 4 + [409] * 8
    assert await world.database.value("SELECT count(*) FROM jobs WHERE kind = 'batch'") == 4
