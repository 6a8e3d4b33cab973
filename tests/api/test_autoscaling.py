"""Copies by what is asked of a job: what may be said of it, and with how many it begins."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.endpoint import Autoscaling, Definition
from tests.api.conftest import World
from tests.api.test_copies import cluster, submitted

BY_REQUESTS = {"min": 2, "max": 5, "requests": 8}


async def defined(world: World, job: dict[str, Any]) -> Autoscaling | None:
    row = await world.database.row("SELECT definition FROM versions WHERE id = $1", job["version"])
    assert row is not None
    return msgspec.convert(row["definition"], Definition).endpoint(job["endpoint"]).autoscaling


async def test_a_job_begins_with_the_least_and_keeps_what_was_said(world: World) -> None:
    job = await submitted(world, autoscaling=BY_REQUESTS | {"waiting": 3, "down_after": 60})
    assert job["copies"] == 2
    assert await defined(world, job) == Autoscaling(
        min=2, max=5, requests=8, waiting=3, down_after=60
    )


async def test_where_nothing_else_is_said_it_is_scaled_by_cpu(world: World) -> None:
    found = await defined(world, await submitted(world, autoscaling={"max": 5}))
    assert found == Autoscaling(max=5, cpu_percent=80)
    assert not found.by_demand


async def test_the_endpoints_of_a_version_are_scaled_each(world: World) -> None:
    await world.made(f"{world.place}/deployments", {"name": "wide", "target": "far"})
    made = await world.version(
        "wide", replicas={"digit": 4}, autoscaling={"*": BY_REQUESTS | {"min": 3}}
    )
    shown = {}
    for name, job in made["jobs"].items():
        shown[name] = (await world.ask("GET", f"/v1/jobs/{job}")).body["copies"]
    assert shown == dict.fromkeys(made["jobs"], 3) | {"digit": 4}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "autoscaling.max"),
        ({"max": 0}, "autoscaling.max"),
        ({"max": 101}, "autoscaling.max"),
        ({"max": 2, "min": 3}, "autoscaling.max"),
        ({"max": 2, "min": 0}, "autoscaling.min"),
        ({"max": 2, "requests": 0}, "autoscaling.requests"),
        ({"max": 2, "requests": 1.5}, "autoscaling.requests"),
        ({"max": 2, "waiting": 0}, "autoscaling.waiting"),
        ({"max": 2, "cpu_percent": 101}, "autoscaling.cpu_percent"),
        ({"max": 2, "cpu_percent": 50, "requests": 4}, "autoscaling.cpu_percent"),
        ({"max": 2, "down_after": -1}, "autoscaling.down_after"),
        ({"max": 2, "speed": 1}, "autoscaling.speed"),
        ([], "autoscaling"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_field(
    world: World, said: Any, field: str
) -> None:
    body = await world.endpoint() | {"target": "far", "autoscaling": said}
    answer = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (answer.status, answer.fields) == (422, [field])


async def test_it_does_not_go_with_a_number_of_copies(world: World) -> None:
    body = await world.endpoint() | {"target": "far", "replicas": 2, "autoscaling": BY_REQUESTS}
    answer = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (answer.status, answer.fields) == (422, ["replicas"])
    await world.made(f"{world.place}/deployments", {"name": "wide", "target": "far"})
    wish = await world.wish(replicas={"*": 2}, autoscaling={"*": BY_REQUESTS, "nobody": {"max": 1}})
    answer = await world.ask("POST", f"{world.place}/deployments/wide/versions", wish)
    assert answer.status == 422
    assert set(answer.fields) == {"replicas.*", "autoscaling.nobody"}


async def test_one_machine_runs_one_copy(world: World) -> None:
    body = await world.endpoint() | {"autoscaling": {"max": 2, "requests": 8}}
    answer = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (answer.status, answer.fields) == (422, ["autoscaling.max"])
    wish = await world.wish(autoscaling={"*": {"max": 2, "requests": 8}})
    answer = await world.ask("POST", f"{world.place}/deployments/mnist/versions", wish)
    assert answer.status == 422
    assert answer.fields[0].startswith("autoscaling.")
    assert answer.fields[0].endswith(".max")


async def test_copies_with_gpus_are_scaled_by_demand_alone_and_there_must_be_room_for_the_least(
    world: World,
) -> None:
    await cluster(world, 2, 1)
    resources = {"resources": {"gpu_types": ["a100"], "gpu_count": 1}, "target": "far"}
    body = await world.endpoint() | resources
    path = f"{world.place}/endpoints"
    answer = await world.ask("POST", path, body | {"autoscaling": {"max": 3}})
    assert (answer.status, answer.fields) == (422, ["autoscaling"])
    few = {"min": 4, "max": 9, "requests": 8}
    answer = await world.ask("POST", path, body | {"autoscaling": few})
    assert (answer.status, answer.fields) == (422, ["autoscaling.min"])
    review = await world.ask("POST", f"{path}/review", body | {"autoscaling": BY_REQUESTS})
    assert review.body["price_per_hour"] == 3.0, "for as many as it begins with"
    answer = await world.ask("POST", path, body | {"autoscaling": BY_REQUESTS})
    assert (answer.status, answer.body["copies"]) == (201, 2)


async def test_nobody_else_scales_it_and_the_refusal_says_who_does(world: World) -> None:
    by_demand = await submitted(world, autoscaling=BY_REQUESTS)
    by_cpu = await submitted(world, name="busy", autoscaling={"max": 4})
    for job, who in ((by_demand, "platform"), (by_cpu, "target")):
        answer = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": 3})
        assert (answer.status, answer.problem) == (409, "autoscaled")
        assert who in answer.body["title"]


async def test_a_restart_begins_with_the_least_again(world: World) -> None:
    job = await submitted(world, autoscaling=BY_REQUESTS)
    fixed = await submitted(world, name="fixed", replicas=3)
    await world.database.execute("UPDATE versions SET state = 'ready'")
    for each in (job, fixed):
        await world.put_state(each["id"], "stopped")
        await world.database.execute("UPDATE jobs SET copies = 4 WHERE id = $1", each["id"])
    answers = [await world.ask("POST", f"/v1/jobs/{each['id']}/restart") for each in (job, fixed)]
    assert [answer.body["copies"] for answer in answers] == [2, 4]
    assert {answer.body["state"] for answer in answers} == {"queued"}
