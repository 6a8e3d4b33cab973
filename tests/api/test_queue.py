"""A target's queue over HTTP: who comes first, who may know, and what owners have."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import World
from tests.api.play import Play


@pytest.fixture
async def play(world: World) -> AsyncIterator[Play]:
    play = Play(world)
    async with play.leading():
        yield play


async def test_it_tells_the_first_in_their_order_to_those_who_may_know(play: Play) -> None:
    await play.machines(2)
    await play.running(owner="bob", gpus=2)
    late = await play.job(gpus=1)
    await play.job(gpus=2, types=["t4"], priority="low", preemptible=True)
    await play.job(owner="bob", gpus=1, priority="high")
    await play.turns(1)
    queue = (await play.world.ask("GET", "/v1/targets/process/queue")).body
    assert [(each["name"], each["priority"], each["ahead"]) for each in queue["first"]] == [
        ("a job of another owner", "high", 0),
        ("web-2", "normal", 1),
        ("web-3", "low", 2),
    ]
    assert queue["first"][0]["job"] is queue["first"][0]["owner"] is None
    assert (queue["first"][1]["job"], queue["first"][1]["cause"]) == (late, "gpus")
    assert queue["first"][2]["gpu_types"] == ["t4"]
    assert [gpu["free"] for gpu in queue["gpus"]] == [0]
    everything = (
        await play.world.ask("GET", "/v1/targets/process/queue?limit=1", as_="admin")
    ).body
    assert [each["owner"] for each in everything["first"]] == ["bob"]


async def test_it_tells_what_owners_have_to_those_who_may_know(play: Play) -> None:
    await play.machines(4)
    await play.running(owner="bob", gpus=2)
    await play.job(gpus=4)
    quota = "/v1/owners/bob/quotas/process/t4"
    await play.world.ask("PUT", quota, {"nominal": 2}, as_="admin")
    await play.world.ask("PUT", "/v1/owners/bob/allowance", {"weight": 2}, as_="admin")
    path = "/v1/targets/process/queue"
    (mine,) = (await play.world.ask("GET", path)).body["owners"]
    assert (mine["owner"], mine["held"], mine["share"], mine["waiting"]) == ("ann", {}, 0.0, 1)
    _, bob = (await play.world.ask("GET", path, as_="admin")).body["owners"]
    assert (bob["held"], bob["weight"], bob["share"], bob["waiting"]) == ({"t4": 2}, 2.0, 0.25, 0)
    assert [each["nominal"] for each in bob["quotas"]] == [2]


async def test_there_is_none_of_an_unknown_target(world: World) -> None:
    assert (await world.ask("GET", "/v1/targets/moon/queue")).status == 404
    said = await world.ask("GET", "/v1/targets/process/queue?limit=0")
    assert (said.status, said.fields) == (422, ["limit"])
