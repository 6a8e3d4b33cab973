"""What may be said of a job to the queue, in every format, and who may say it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import claims
from tests.api.conftest import World

SAID = {
    "priority": "low",
    "preemptible": True,
    "gang": True,
    "start_within": 600,
    "run_at_most": 7200,
}
WRITTEN = """
SELECT priority, preemptible, gang, max_price, run_at_most,
       extract(epoch FROM start_by - created_at)::integer AS start_within
  FROM jobs WHERE id = $1
"""


async def written(world: World, job: str) -> dict[str, Any]:
    row = await world.database.row(WRITTEN, job)
    assert row is not None
    return dict(row)


async def submit(world: World, as_: str = "ann", **scheduling: Any) -> Any:
    body = {**await world.endpoint(), "scheduling": scheduling}
    return await world.ask("POST", f"{world.place}/endpoints", body, as_=as_)


async def allow(world: World, highest: int) -> None:
    await world.database.execute(
        "INSERT INTO allowances (owner, highest) VALUES ('ann', $1)", highest
    )


async def test_an_endpoint_is_written_as_it_was_asked_for(world: World) -> None:
    await world.gpus(t4=1)
    wish = {"gpu_types": ["t4"], "max_price": 2.5}
    body = {**await world.endpoint(**wish), "scheduling": SAID}
    made = await world.made(f"{world.place}/endpoints", body)
    assert await written(world, made["id"]) == {
        "priority": -100,
        "preemptible": True,
        "gang": True,
        "max_price": 2.5,
        "run_at_most": 7200.0,
        "start_within": 600,
    }
    assert (made["priority"], made["preemptible"], made["gang"]) == ("low", True, True)
    assert made["run_at_most"] == 7200


async def test_who_says_nothing_is_of_the_normal_class_and_has_all_the_time(world: World) -> None:
    made = await world.made(f"{world.place}/endpoints", await world.endpoint())
    assert await written(world, made["id"]) == {
        "priority": 0,
        "preemptible": False,
        "gang": False,
        "max_price": None,
        "run_at_most": None,
        "start_within": None,
    }
    assert (made["priority"], made["start_by"]) == ("normal", None)


async def test_a_version_says_it_by_endpoint_or_for_all_others(world: World) -> None:
    said = {"greet": {"priority": "low"}, "*": {"preemptible": True}}
    jobs = (await world.version(scheduling=said))["jobs"]
    greet, digit = await written(world, jobs["greet"]), await written(world, jobs["digit"])
    assert (greet["priority"], greet["preemptible"]) == (-100, False)
    assert (digit["priority"], digit["preemptible"]) == (0, True)


async def test_a_servable_has_it_from_its_configuration(world: World) -> None:
    configuration = {**claims.configuration(), "scheduling": SAID | {"max": 1}}
    said = await claims.apply(world, *claims.ALL, configuration)
    assert "scheduling.max" in str(said)
    wish = {"model": "claims-model:1", "configuration": "small"}
    made = await world.made(f"{world.place}/servables", wish)
    row = await written(world, made["job"])
    assert (row["priority"], row["gang"], row["start_within"]) == (-100, True, 600)


async def test_a_restart_may_take_its_time(world: World) -> None:
    job = (await submit(world, start_within=60)).body["id"]
    await world.put_state(job, "stopped")
    again = (await world.ask("POST", f"/v1/jobs/{job}/restart")).body
    assert (again["state"], again["start_by"]) == ("queued", None)


@pytest.mark.parametrize(
    ("said", "field", "message"),
    [
        ({"priority": "urgent"}, "priority", "low, normal or high"),
        ({"priority": "high\n"}, "priority", "low, normal or high"),
        ({"priority": 7}, "priority", "expected `str`"),
        ({"start_within": 0}, "start_within", ">= 1"),
        ({"start_within": 1e9}, "start_within", "<= 2678400"),
        ({"run_at_most": -1}, "run_at_most", ">= 1"),
        ({"run_at_most": "2h"}, "run_at_most", "float"),
        ({"gang": 1}, "gang", "bool"),
        ({"preemtible": True}, "preemtible", "not a known field"),
    ],
)
async def test_what_it_can_not_mean_is_refused_by_field(
    world: World, said: dict[str, Any], field: str, message: str
) -> None:
    answer = await submit(world, **said)
    assert (answer.status, answer.fields) == (422, [f"scheduling.{field}"])
    assert message in answer.body["errors"][0]["message"]


async def test_an_unknown_endpoint_is_refused(world: World) -> None:
    wish = await world.wish(scheduling={"nope": {}})
    said = await world.ask("POST", f"{world.place}/deployments/mnist/versions", wish)
    assert (said.status, said.fields) == (422, ["scheduling.nope"])


async def test_a_class_above_the_allowance_is_refused_but_to_admins(world: World) -> None:
    said = await submit(world, priority="high")
    assert (said.status, said.fields) == (422, ["scheduling.priority"])
    assert said.body["errors"][0]["message"].endswith("at most normal")
    assert (await submit(world, as_="admin", priority="high")).status == 201


async def test_a_review_refuses_the_same(world: World) -> None:
    body = {**await world.endpoint(), "scheduling": {"priority": "high"}}
    said = (await world.ask("POST", f"{world.place}/endpoints/review", body)).body
    assert (said["ok"], said["errors"][0]["field"]) == (False, "scheduling.priority")


async def test_an_allowance_may_be_higher_or_lower(world: World) -> None:
    await allow(world, -100)
    wish = await world.wish(scheduling={"digit": {"priority": "low"}})
    path = f"{world.place}/deployments/mnist/versions"
    said = await world.ask("POST", path, wish)
    assert (said.status, said.fields) == (422, ["scheduling.greet.priority"])
    await world.database.execute("UPDATE allowances SET highest = 100")
    assert (await submit(world, priority="high")).status == 201


async def test_a_configuration_above_the_allowance_makes_no_servable(world: World) -> None:
    configuration = {**claims.configuration(), "scheduling": {"priority": "high"}}
    await claims.apply(world, *claims.ALL, configuration)
    wish = {"model": "claims-model:1", "configuration": "small"}
    said = await world.ask("POST", f"{world.place}/servables", wish)
    assert (said.status, said.fields) == (422, ["configuration.scheduling.priority"])
