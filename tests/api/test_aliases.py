"""Aliases: moved atomically, with history, rollback and revisions to hold on to."""

from __future__ import annotations

import asyncio

from tests.api.conftest import ROUTER, Said, World

D = "/v1/projects/ann/house/deployments/mnist"
ALIAS = f"{D}/aliases/production"


async def running(world: World, name: str) -> str:
    version = await world.version(name=name)
    for job in version["jobs"].values():
        await world.put_state(job, "running")
    return name


async def move(world: World, version: str, **headers: str) -> Said:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.ask("PUT", ALIAS, {"version": version}, headers=sent)


async def test_an_alias_moves_and_keeps_its_history(world: World) -> None:
    await running(world, "v1")
    await running(world, "v2")
    first = await move(world, "v1")
    assert (first.body["version"], first.body["revision"], first.headers["ETag"]) == (
        "v1",
        1,
        '"1"',
    )
    assert first.body["urls"]["greet"] == f"{ROUTER}/ann/house/mnist/production/greet"
    second = await move(world, "v2")
    assert [step["version"] for step in second.body["history"]] == ["v2", "v1"]
    assert (await world.ask("GET", f"{D}/versions/production")).body["name"] == "v2"
    assert (await world.ask("GET", D)).body["aliases"] == {"production": "v2"}


async def test_rollback_points_at_the_version_before(world: World) -> None:
    for name in ("v1", "v2"):
        await move(world, await running(world, name))
    said = await world.ask("POST", f"{ALIAS}/rollback")
    assert (said.status, said.body["version"], said.body["revision"]) == (200, "v1", 3)
    types = await world.database.fetch("SELECT type, data FROM events ORDER BY seq DESC LIMIT 1")
    assert types[0]["type"] == "slipway.alias.moved.v1"
    assert types[0]["data"]["revision"] == 3


async def test_there_is_nothing_before_the_first_version(world: World) -> None:
    await move(world, await running(world, "v1"))
    said = await world.ask("POST", f"{ALIAS}/rollback")
    assert (said.status, said.problem) == (409, "no-version-before")


async def test_moving_to_where_it_points_changes_nothing(world: World) -> None:
    await running(world, "v1")
    await move(world, "v1")
    assert (await move(world, "v1")).body["revision"] == 1


async def test_a_version_that_does_not_run_is_refused_unless_forced(world: World) -> None:
    await world.version(name="v1")
    said = await move(world, "v1")
    assert (said.status, said.problem) == (409, "not-running")
    assert sorted(said.fields) == ["endpoints.digit", "endpoints.greet"]
    forced = await world.ask("PUT", ALIAS, {"version": "v1", "force": True})
    assert forced.status == 200


async def test_only_one_of_many_who_saw_the_same_revision_moves_it(world: World) -> None:
    names = [await running(world, f"v{number}") for number in range(4)]
    await move(world, names[0])
    said = await asyncio.gather(*(move(world, name, If_Match='"1"') for name in names[1:]))
    assert sorted(answer.status for answer in said) == [200, 412, 412]
    assert (await move(world, "v1", If_None_Match="*")).status == 412


async def test_names_of_versions_and_aliases_are_apart(world: World) -> None:
    await running(world, "v1")
    await move(world, "v1")
    said = await world.ask("POST", f"{D}/versions", await world.wish(name="production"))
    assert (said.status, said.problem) == (409, "name-taken")
    said = await world.ask("PUT", f"{D}/aliases/v1", {"version": "v1"})
    assert (said.status, said.problem) == (409, "name-taken")


async def test_an_unknown_version_is_named(world: World) -> None:
    said = await move(world, "nothing")
    assert (said.status, said.fields) == (422, ["version"])
    assert (await world.ask("POST", f"{ALIAS}/rollback")).status == 404
