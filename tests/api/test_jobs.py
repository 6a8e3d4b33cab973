"""Jobs over HTTP: what may be done with one, and what is answered when it may not."""

from __future__ import annotations

import shlex

import pytest

from services.api.jobs import example
from shared.endpoint import Command, Endpoint, Parameter, Route, Routes
from tests.api.conftest import ROUTER, World


async def job(world: World, name: str = "classify") -> str:
    return str((await world.made(f"{world.place}/endpoints", await world.endpoint(name)))["id"])


@pytest.mark.parametrize(
    ("state", "verb", "status", "after"),
    [
        ("submitted", "stop", 200, "stopping"),
        ("queued", "stop", 200, "stopping"),
        ("running", "stop", 200, "stopping"),
        ("stopping", "stop", 200, "stopping"),
        ("stopped", "stop", 200, "stopped"),
        ("failed", "stop", 409, "failed"),
        ("terminated", "stop", 409, "terminated"),
        ("stopped", "restart", 200, "queued"),
        ("running", "restart", 409, "running"),
        ("failed", "restart", 409, "failed"),
        ("purged", "restart", 409, "purged"),
        ("stopped", "terminate", 200, "terminated"),
        ("failed", "terminate", 200, "terminated"),
        ("terminated", "terminate", 200, "terminated"),
        ("running", "terminate", 409, "running"),
        ("stopping", "terminate", 409, "stopping"),
    ],
)
async def test_a_verb_in_a_state(
    world: World, state: str, verb: str, status: int, after: str
) -> None:
    made = await job(world)
    await world.put_state(made, state)
    said = await world.ask("POST", f"/v1/jobs/{made}/{verb}")
    assert said.status == status
    assert (await world.ask("GET", f"/v1/jobs/{made}")).body["state"] == after
    if status == 409:
        assert said.problem == "job-state"


async def test_an_endpoint_of_its_own_tells_its_state_in_its_formats_words_and_its_disk(
    world: World,
) -> None:
    body = await world.endpoint(disk_size=12)
    made = await world.made(f"{world.place}/endpoints", body)
    assert (made["state"], made["status"], made["disk_size"]) == ("submitted", "new", 12)
    await world.put_state(made["id"], "queued")
    shown = (await world.ask("GET", f"/v1/jobs/{made['id']}")).body
    assert (shown["status"], shown["disk_size"]) == ("waiting for resources", 12)
    (listed,) = (await world.ask("GET", "/v1/jobs?state=queued")).body["items"]
    assert listed == shown
    of_deployment, *_ = (await world.version())["jobs"].values()
    other = (await world.ask("GET", f"/v1/jobs/{of_deployment}")).body
    assert (other["status"], other["disk_size"]) == (None, None)


async def test_a_refusal_says_what_to_do_instead(world: World) -> None:
    made = await job(world)
    await world.put_state(made, "failed")
    said = await world.ask("POST", f"/v1/jobs/{made}/restart")
    assert said.body["detail"] == "a failed job can only be terminated"
    await world.put_state(made, "running")
    said = await world.ask("POST", f"/v1/jobs/{made}/terminate")
    assert said.body["detail"] == "stop it first"


async def test_stopping_twice_announces_it_once(world: World) -> None:
    made = await job(world)
    for _ in range(2):
        assert (await world.ask("POST", f"/v1/jobs/{made}/stop")).status == 200
    query = "SELECT count(*) FROM events WHERE type = 'slipway.job.stopping.v1'"
    assert await world.database.value(query) == 1


async def test_a_restart_is_a_new_attempt(world: World) -> None:
    made = await job(world)
    await world.put_state(made, "stopped")
    said = await world.ask("POST", f"/v1/jobs/{made}/restart")
    assert (said.body["state"], said.body["attempt"]) == ("queued", 2)


@pytest.mark.parametrize(
    ("version", "said"), [("building", "still being built"), ("failed", "terminated")]
)
async def test_a_job_without_an_image_is_not_restarted(
    world: World, version: str, said: str
) -> None:
    made = await job(world)
    await world.put_state(made, "stopped", version)
    answered = await world.ask("POST", f"/v1/jobs/{made}/restart")
    assert (answered.status, answered.problem) == (409, "no-image")
    assert said in answered.body["detail"]


async def test_the_name_of_a_terminated_job_is_free_again(world: World) -> None:
    made = await job(world)
    again = await world.ask("POST", f"{world.place}/endpoints", await world.endpoint())
    assert (again.status, again.problem) == (409, "name-taken")
    await world.put_state(made, "terminated")
    assert await job(world) != made


async def test_a_running_job_tells_how_to_call_it(world: World) -> None:
    made = await job(world)
    said = await world.ask("GET", f"/v1/jobs/{made}/connection")
    assert (said.status, said.problem) == (409, "not-running")
    await world.put_state(made, "running")
    said = await world.ask("GET", f"/v1/jobs/{made}/connection")
    assert said.body["url"] == f"{ROUTER}/endpoints/{made}"
    assert f"{ROUTER}/endpoints/{made}/predict" in said.body["example"]
    assert (await world.ask("GET", f"/v1/jobs/{made}")).body["url"] == said.body["url"]


async def test_lists_are_filtered_and_paged(world: World) -> None:
    made = [await job(world, f"job {number}") for number in range(5)]
    await world.put_state(made[0], "stopped")
    seen, after = [], ""
    while True:
        said = (await world.ask("GET", f"/v1/jobs?limit=2&after={after}")).body
        seen += [found["id"] for found in said["items"]]
        after = said.get("next")
        if not after:
            break
    assert seen == list(reversed(made))
    stopped = (await world.ask("GET", "/v1/jobs?state=stopped")).body["items"]
    assert [found["id"] for found in stopped] == [made[0]]
    named = (await world.ask("GET", "/v1/jobs?name=job%203")).body["items"]
    assert [found["id"] for found in named] == [made[3]]
    assert len((await world.ask("GET", "/v1/jobs?limit=0")).body["items"]) == 1
    assert len((await world.ask("GET", "/v1/jobs?limit=1000000000")).body["items"]) == 5


def test_the_example_call_is_one_shell_line() -> None:
    body = (Parameter(name="it's", type="str"), Parameter(name="n", type="int"))
    route = Route(verb="POST", path="/a b", file="f", function="f", body=body)
    routes = Endpoint(
        name="x", format="proximl", entry=Routes(routes=(route,)), port=80, readiness="ping"
    )
    words = shlex.split(example("http://r/endpoints/j", routes))
    assert words[-1] == '{"it\'s":"text","n":1}'
    assert "http://r/endpoints/j/a b" in words
    command = Endpoint(
        name="x",
        format="valohai",
        entry=Command(lines=("serve",)),
        port=8000,
        readiness="listening",
    )
    assert example("http://r/o/p", command) == "curl http://r/o/p/"
