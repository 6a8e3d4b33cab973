"""What batch jobs left behind, as it is handed out."""

from __future__ import annotations

import pytest

from services.api.context import Context
from tests.api.conftest import World
from tests.api.test_runs import ready

CONTENT = bytes(range(256)) * 20


async def finished(world: World, context: Context) -> str:
    path = await ready(world)
    made = await world.made(path, {"endpoint": "greet", "command": "true"})
    job = str(made["jobs"][0]["id"])
    await world.put_state(job, "finished")
    kept = await context.blobs.put_bytes(CONTENT)
    await world.database.execute(
        "UPDATE jobs SET outputs = $2, outputs_size = $3 WHERE id = $1", job, kept.digest, kept.size
    )
    return job


async def test_they_come_whole_and_in_parts(world: World, context: Context) -> None:
    job = await finished(world, context)
    assert (await world.ask("GET", f"/v1/jobs/{job}")).body["outputs_size"] == len(CONTENT)
    whole = await world.ask("GET", f"/v1/jobs/{job}/outputs")
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Content-Type"] == "application/x-tar"
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{job}.tar"'
    tag = whole.headers["ETag"]
    headers = {"Range": "bytes=1000-", "If-Range": tag}
    rest = await world.ask("GET", f"/v1/jobs/{job}/outputs", headers=headers)
    assert (rest.status, rest.body) == (206, CONTENT[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    headers = {"Range": "bytes=1000-", "If-Range": '"other"'}
    again = await world.ask("GET", f"/v1/jobs/{job}/outputs", headers=headers)
    assert (again.status, again.body) == (200, CONTENT)


@pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=-0"])
async def test_a_part_that_is_not_there_is_refused(
    world: World, context: Context, asked: str
) -> None:
    job = await finished(world, context)
    said = await world.ask("GET", f"/v1/jobs/{job}/outputs", headers={"Range": asked})
    assert said.status == 416
    assert said.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


async def test_they_are_their_owners(world: World, context: Context) -> None:
    job = await finished(world, context)
    assert (await world.ask("GET", f"/v1/jobs/{job}/outputs", as_="bob")).status == 404
    assert (await world.ask("GET", f"/v1/jobs/{job}/outputs", as_="reader")).status == 200


async def test_taking_them_keeps_them_for_longer(world: World, context: Context) -> None:
    job = await finished(world, context)
    await world.database.execute("UPDATE jobs SET purge_at = now() WHERE id = $1", job)
    await world.ask("GET", f"/v1/jobs/{job}/outputs")
    row = await world.database.row("SELECT purge_at, used_at FROM jobs WHERE id = $1", job)
    assert row is not None
    assert (row["purge_at"], row["used_at"] is None) == (None, False)


async def test_what_is_given_up_has_none(world: World, context: Context) -> None:
    job = await finished(world, context)
    await world.made(f"/v1/jobs/{job}/terminate")
    said = await world.ask("GET", f"/v1/jobs/{job}/outputs")
    assert (said.status, said.problem) == (409, "no-outputs")
    assert (await world.ask("GET", f"/v1/jobs/{job}")).body["outputs_size"] is None


async def test_what_left_none_says_so(world: World) -> None:
    version = await world.version(name="v1")
    for job in version["jobs"].values():
        said = await world.ask("GET", f"/v1/jobs/{job}/outputs")
        assert (said.status, said.problem) == (409, "no-outputs")
