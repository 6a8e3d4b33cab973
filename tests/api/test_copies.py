"""Several copies of a job: asked for at its submission, and changed while it is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from services.api import gpus
from services.api.types import GpuType
from shared.endpoint import Autoscaling, Command, Endpoint, Gpus
from tests.api.conftest import World


async def submitted(world: World, target: str = "far", **more: Any) -> dict[str, Any]:
    """A job on a target that is a cluster."""
    body = await world.endpoint() | {"target": target, **more}
    return dict(await world.made(f"{world.place}/endpoints", body))


async def cluster(world: World, *machines: int) -> None:
    """GPUs of the target `far`, so many in each of its machines."""
    for node, count in enumerate(machines):
        for number in range(count):
            await world.database.execute(
                "INSERT INTO gpus (id, target, type, device, node, price)"
                " VALUES ($1, 'far', 'a100', $1, $2, 1.5)",
                f"far/n{node}/{number}",
                f"n{node}",
            )


async def facts(world: World, job: str) -> list[Any]:
    rows = await world.database.fetch(
        "SELECT data FROM events WHERE subject = $1 AND type = 'slipway.job.scaled.v1' ORDER BY seq",
        job,
    )
    return [row["data"]["copies"] for row in rows]


async def test_a_job_has_one_copy_unless_more_are_asked_for(world: World) -> None:
    one, three = await submitted(world), await submitted(world, name="wide", replicas=3)
    assert [(job["target"], job["copies"], job["copies_running"]) for job in (one, three)] == [
        ("far", 1, 0),
        ("far", 3, 0),
    ]


async def test_the_endpoints_of_a_version_have_copies_each(world: World) -> None:
    await world.made(f"{world.place}/deployments", {"name": "wide", "target": "far"})
    made = await world.version("wide", replicas={"digit": 4, "*": 2})
    shown = {
        name: (await world.ask("GET", f"/v1/jobs/{job}")).body["copies"]
        for name, job in made["jobs"].items()
    }
    assert shown == dict.fromkeys(made["jobs"], 2) | {"digit": 4}


@pytest.mark.parametrize("copies", [0, -1, 101, 1.5, "2", None])
async def test_copies_are_from_1_to_100(world: World, copies: Any) -> None:
    job = await submitted(world)
    said = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": copies})
    assert (said.status, said.fields) == (422, ["copies"])
    body = await world.endpoint("other") | {"target": "far", "replicas": copies}
    said = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (said.status, said.fields) == (422, ["replicas"])


async def test_one_machine_runs_one_copy(world: World) -> None:
    one = await submitted(world, target="process")
    said = await world.ask("POST", f"/v1/jobs/{one['id']}/scale", {"copies": 2})
    told = "must be 1: the target process runs one copy of a job; a target that is a cluster runs"
    assert (said.status, said.fields) == (422, ["copies"])
    assert told in said.body["errors"][0]["message"]
    body = await world.endpoint("two") | {"replicas": 2}
    said = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (said.status, said.fields) == (422, ["replicas"])
    said = await world.ask("POST", f"{world.place}/endpoints/review", body)
    assert (said.status, said.body["ok"]) == (200, False)
    wish = await world.wish(replicas={"*": 2})
    said = await world.ask("POST", f"{world.place}/deployments/mnist/versions", wish)
    assert said.status == 422
    assert said.fields[0].startswith("replicas.")
    said = await world.ask("POST", f"/v1/jobs/{one['id']}/scale", {"copies": 1})
    assert (said.status, said.body["copies"]) == (200, 1)


async def test_copies_of_an_unknown_endpoint_are_refused(world: World) -> None:
    wish = await world.wish(replicas={"nobody": 1})
    said = await world.ask("POST", f"{world.place}/deployments/mnist/versions", wish)
    assert (said.status, said.fields) == (422, ["replicas.nobody"])


async def test_an_unknown_target_is_refused_with_those_that_there_are(world: World) -> None:
    body = await world.endpoint() | {"target": "moon"}
    said = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (said.status, said.fields) == (422, ["target"])
    assert said.body["errors"][0]["message"] == "must be one of process, far"


@pytest.mark.parametrize("state", ["submitted", "building", "queued", "starting", "running"])
async def test_a_job_that_is_wanted_is_scaled(world: World, state: str) -> None:
    job = await submitted(world)
    await world.put_state(job["id"], state)
    said = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": 3})
    assert (said.status, said.body["copies"], said.body["state"]) == (200, 3, state)
    again = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": 3})
    assert (again.status, again.body["copies"]) == (200, 3)
    assert await facts(world, job["id"]) == [3], "scaling twice is scaling once"


@pytest.mark.parametrize("state", ["stopping", "stopped", "failed", "terminated", "purged"])
async def test_a_job_that_is_not_wanted_is_not_scaled(world: World, state: str) -> None:
    job = await submitted(world)
    await world.put_state(job["id"], state)
    said = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": 3})
    assert (said.status, said.problem) == (409, "job-state")
    assert await facts(world, job["id"]) == []


async def test_what_may_run_falls_at_once_and_rises_when_there_is_room(world: World) -> None:
    job = (await submitted(world, replicas=4))["id"]
    await world.database.execute("UPDATE jobs SET state = 'running', granted = 4")
    for copies, granted in ((2, 2), (3, 2), (1, 1), (100, 1)):
        await world.made(f"/v1/jobs/{job}/scale", {"copies": copies})
        assert await world.database.value("SELECT granted FROM jobs") == granted


async def test_more_gpus_than_the_target_has_are_refused(world: World) -> None:
    await cluster(world, 2, 2)
    more: dict[str, Any] = {"resources": {"gpu_types": ["a100"], "gpu_count": 2}}
    body = await world.endpoint() | more | {"target": "far", "replicas": 3}
    said = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (said.status, said.fields) == (422, ["replicas"])
    assert said.body["errors"][0]["message"].startswith("must be at most 2")
    job = (await submitted(world, **more, replicas=2))["id"]
    said = await world.ask("POST", f"/v1/jobs/{job}/scale", {"copies": 3})
    assert (said.status, said.fields) == (422, ["copies"])
    await world.database.execute("UPDATE gpus SET present = false")
    said = await world.ask("POST", f"/v1/jobs/{job}/scale", {"copies": 1})
    assert said.status == 200, "giving back is always possible"


async def test_a_copy_has_all_its_gpus_in_one_machine(world: World) -> None:
    await cluster(world, 2, 2)
    body = await world.endpoint(gpu_types=["a100"], gpu_count=3) | {"target": "far"}
    said = await world.ask("POST", f"{world.place}/endpoints", body)
    assert (said.status, said.fields) == (422, ["resources.gpu_count"])
    assert said.body["errors"][0]["message"].startswith("must be at most 2")


async def test_the_price_is_that_of_all_copies(world: World) -> None:
    await cluster(world, 2, 2)
    body = await world.endpoint(gpu_types=["a100"], gpu_count=2) | {"target": "far", "replicas": 2}
    said = await world.ask("POST", f"{world.place}/endpoints/review", body)
    assert (said.body["ok"], said.body["price_per_hour"]) == (True, 6.0)


async def test_what_its_target_scales_is_not_scaled_by_hand(world: World) -> None:
    job = await submitted(world)
    await world.database.execute(
        "UPDATE versions SET definition = jsonb_set(definition, '{endpoints,0,autoscaling}', $1)",
        Autoscaling(max=5),
    )
    said = await world.ask("POST", f"/v1/jobs/{job['id']}/scale", {"copies": 3})
    assert (said.status, said.problem) == (409, "autoscaled")
    assert "from 1 to 5" in said.body["detail"]


async def test_targets_are_listed_with_their_gpus(world: World) -> None:
    await cluster(world, 2, 1)
    items = (await world.ask("GET", "/v1/targets")).body["items"]
    assert [(item["name"], item["kind"]) for item in items] == [
        ("process", "process"),
        ("far", "kubernetes"),
    ]
    assert items[0]["gpus"] == []
    [gpu] = items[1]["gpus"]
    assert (gpu["type"], gpu["total"], gpu["free"], gpu["together"]) == ("a100", 3, 3, 2)


def test_copies_that_begin_later_do_not_make_a_job_wait() -> None:
    stock = gpus.Stock(types=(GpuType(type="a100", total=4, free=1, price_per_hour=1.0),))
    endpoint = Endpoint(
        name="e",
        format="valohai",
        entry=Command(lines=("serve",)),
        port=8000,
        readiness="none",
        gpus=Gpus(count=1),
        replicas=3,
    )
    assert gpus.check(endpoint, stock) is None
    assert not gpus.would_wait([endpoint], stock)
    assert gpus.would_wait([endpoint, endpoint], stock)
