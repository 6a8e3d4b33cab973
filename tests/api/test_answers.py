"""Idempotency-Key: the same request twice is once, whenever the second comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.api import answers
from tests.api.conftest import World

KEY = {"Idempotency-Key": "one"}


async def jobs(world: World) -> int:
    return int(await world.database.value("SELECT count(*) FROM jobs"))


async def test_fifty_at_once_make_one_job(world: World) -> None:
    path, wish = f"{world.place}/endpoints", await world.endpoint()
    said = await asyncio.gather(*(world.ask("POST", path, wish, headers=KEY) for _ in range(50)))
    assert {answer.status for answer in said} == {201}
    assert len({answer.body["id"] for answer in said}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in said) == 49
    assert await jobs(world) == 1


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request comes to a process of its own, which knows nothing of the others."""

    @asynccontextmanager
    async def at_once(*_: object) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(answers, "alone", at_once)


@pytest.mark.usefixtures("apart")
async def test_many_processes_at_once_make_one_endpoint(world: World) -> None:
    path, wish = f"{world.place}/endpoints", await world.endpoint()
    said = await asyncio.gather(*(world.ask("POST", path, wish, headers=KEY) for _ in range(20)))
    assert {answer.status for answer in said} == {201}
    assert len({answer.body["id"] for answer in said}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in said) == 19
    assert await jobs(world) == 1


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("array", [1, 3])
async def test_many_processes_at_once_make_one_series(world: World, array: int) -> None:
    """Whose names are free each time."""
    version = await world.version(name="v1")
    await world.database.execute("UPDATE versions SET state = 'ready'")
    path = f"{world.place}/deployments/mnist/versions/{version['name']}/runs"
    before, wish = await jobs(world), {"command": "true", "endpoint": "greet", "array": array}
    said = await asyncio.gather(*(world.ask("POST", path, wish, headers=KEY) for _ in range(20)))
    assert {answer.status for answer in said} == {201}
    assert len({answer.body["id"] for answer in said}) == 1
    assert await jobs(world) == before + array
    told = "SELECT count(*) FROM events WHERE subject = $1"
    assert await world.database.value(told, said[0].body["jobs"][0]["id"]) == 2


@pytest.mark.usefixtures("apart")
async def test_many_processes_at_once_repeat_one_stop(world: World) -> None:
    job = await world.made(f"{world.place}/endpoints", await world.endpoint())
    path = f"/v1/jobs/{job['id']}/stop"
    said = await asyncio.gather(*(world.ask("POST", path, headers=KEY) for _ in range(20)))
    assert {answer.status for answer in said} == {200}
    assert sum("Idempotency-Replayed" in answer.headers for answer in said) == 19


async def test_what_could_not_be_done_again_is_answered_as_it_was(world: World) -> None:
    path, wish = f"{world.place}/endpoints", await world.endpoint()
    first = await world.ask("POST", path, wish, headers=KEY)
    await world.database.execute("DELETE FROM gpus")
    again = await world.ask("POST", path, wish, headers=KEY)
    assert (again.status, again.body) == (201, first.body)


async def test_a_repeated_answer_is_the_same_to_the_byte(world: World) -> None:
    path = "/v1/projects"
    first = await world.ask("POST", path, {"name": "a"}, headers=KEY)
    again = await world.ask("POST", path, {"name": "a"}, headers=KEY)
    assert (again.status, again.body) == (first.status, first.body) == (201, first.body)


async def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    await world.ask("POST", "/v1/projects", {"name": "a"}, headers=KEY)
    for path, body in (
        ("/v1/projects", {"name": "b"}),
        (f"{world.place}/deployments", {"name": "a"}),
    ):
        said = await world.ask("POST", path, body, headers=KEY)
        assert (said.status, said.problem) == (422, "idempotency-key-reused")


async def test_another_owner_may_use_the_same_key(world: World) -> None:
    for who in ("ann", "bob"):
        said = await world.ask("POST", "/v1/projects", {"name": "a"}, headers=KEY, as_=who)
        assert (said.status, said.body["owner"]) == (201, who)


async def test_what_was_refused_may_be_tried_again_under_its_key(world: World) -> None:
    body = {"name": "house"}
    assert (await world.ask("POST", "/v1/projects", body, headers=KEY)).status == 409
    await world.database.execute("UPDATE projects SET name = 'villa' WHERE name = 'house'")
    assert (await world.ask("POST", "/v1/projects", body, headers=KEY)).status == 201


async def test_a_token_is_told_once_and_its_answer_is_not_kept(world: World) -> None:
    path = "/v1/owners/ann/tokens"
    made = await world.ask("POST", path, {}, headers=KEY)
    again = await world.ask("POST", path, {}, headers=KEY)
    assert (made.status, again.status, again.problem) == (201, 409, "told-once")
    kept = await world.database.fetch("SELECT body FROM answers")
    assert all(made.body["token"].encode() not in row["body"] for row in kept)


async def test_a_stop_under_a_key_answers_what_it_answered(world: World) -> None:
    job = await world.made(f"{world.place}/endpoints", await world.endpoint())
    path = f"/v1/jobs/{job['id']}/stop"
    first = await world.ask("POST", path, headers=KEY)
    await world.put_state(job["id"], "stopped")
    again = await world.ask("POST", path, headers=KEY)
    assert again.body == first.body
    assert again.body["state"] == "stopping"
