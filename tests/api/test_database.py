"""Requests that PostgreSQL takes back, and such whose clients leave, are done whole or not at all."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

import msgspec
import pytest

from tests.api.claims import ALL, actions, apply
from tests.api.conftest import Said, World
from tests.integration.buses import until

KEY = "Idempotency-Key"
TRIES = """
CREATE SEQUENCE tries; -- which outlive what is taken back
CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') <= TG_ARGV[0]::integer THEN
        RAISE EXCEPTION 'planted' USING ERRCODE = TG_ARGV[1];
    END IF;
    RETURN NULL;
END $$
"""
STATEMENT = "CREATE TRIGGER planted AFTER INSERT ON {} FOR EACH ROW"
COMMIT = (
    "CREATE CONSTRAINT TRIGGER planted AFTER INSERT ON {}"
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
)
WRITTEN = """
SELECT (SELECT count(*) FROM jobs) AS jobs,
       (SELECT count(*) FROM versions) AS versions,
       (SELECT count(*) FROM events WHERE type = 'slipway.job.submitted.v1') AS submitted_jobs,
       (SELECT count(*) FROM events WHERE type = 'slipway.version.submitted.v1')
       AS submitted_versions
"""
BUSY = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
)


async def plant(
    world: World, table: str, times: int, code: str = "40001", trigger: str = STATEMENT
) -> None:
    """Let what is inserted into the table collide so often."""
    await world.database.execute(f"DROP TRIGGER IF EXISTS planted ON {table}")
    call = f"EXECUTE FUNCTION collide({times}, '{code}')"
    await world.database.execute(f"{trigger.format(table)} {call}")
    await world.database.execute("ALTER SEQUENCE tries RESTART")


async def tries(world: World) -> int:
    return int(await world.database.value("SELECT last_value FROM tries"))


async def written(world: World) -> dict[str, int]:
    """How many of each there are, all at one moment."""
    row = await world.database.row(WRITTEN)
    assert row is not None
    return dict(row)


@pytest.mark.parametrize("trigger", [STATEMENT, COMMIT], ids=["statement", "commit"])
@pytest.mark.parametrize("code", ["40P01", "40001"], ids=["deadlock", "conflict"])
async def test_D07_what_collides_is_done_anew_a_few_times_and_then_told(
    world: World, code: str, trigger: str
) -> None:
    wish = await world.endpoint()
    await world.database.execute(TRIES)

    async def ask(name: str, headers: dict[str, str]) -> Said:
        return await world.ask(
            "POST", f"{world.place}/endpoints", {**wish, "name": name}, headers=headers
        )

    for number, headers in enumerate(({}, {KEY: "one"})):
        before = await written(world)
        await plant(world, "jobs", 1_000, code, trigger)
        told = await ask(f"told-{number}", headers)
        assert (told.status, told.problem, await tries(world)) == (503, "unavailable", 3)
        assert int(told.headers["Retry-After"]) > 0
        assert await written(world) == before
        await plant(world, "jobs", 2, code, trigger)
        done = await ask(f"told-{number}", headers)
        assert (done.status, await tries(world)) == (201, 3)
        assert await written(world) == {name: count + 1 for name, count in before.items()}


async def test_D07_a_statement_by_itself_is_done_anew_as_well(world: World) -> None:
    await world.database.execute(TRIES)
    await plant(world, "uploads", 2)
    digest = await world.upload(b"weights")
    kept = "SELECT count(*) FROM uploads WHERE digest = $1"
    assert (await tries(world), await world.database.value(kept, digest)) == (3, 1)
    await plant(world, "uploads", 1_000)
    said = await world.ask("POST", f"{world.place}/uploads", data=b"others")
    assert (said.status, said.problem, await tries(world)) == (503, "unavailable", 3)


async def test_D07_definitions_that_collide_are_applied_as_if_they_had_not(world: World) -> None:
    await world.database.execute(TRIES)
    told = []
    for dry_run in (True, False):
        await plant(world, "events", 2)
        told.append(actions(await apply(world, *ALL, dry_run=dry_run)))
        assert await tries(world) >= 3
    assert told[0] == told[1]
    before = await written(world)
    assert (before["versions"], before["submitted_versions"]) == (3, 3)
    await plant(world, "events", 2)
    said = await world.ask("DELETE", f"{world.place}/applications/claims")
    assert (said.status, await tries(world)) == (204, 3)
    removed = "SELECT count(*) FROM events WHERE type = 'slipway.application.removed.v1'"
    assert await world.database.value(removed) == 1


async def test_D07_other_trouble_is_not_done_anew(world: World) -> None:
    """It isn't known whether that was done."""
    await world.database.execute(TRIES)
    await plant(world, "uploads", 1_000, "57P01")  # as when an operator ends the session
    said = await world.ask("POST", f"{world.place}/uploads", data=b"weights")
    assert (said.status, await tries(world)) == (503, 1)


async def test_D04_clients_that_leave_in_the_middle_leave_nothing_half_done(world: World) -> None:
    wish, chance = await world.endpoint(), random.Random(4)

    async def leave(number: int) -> None:
        text = request(world, {**wish, "name": f"left-{number}"}, keys(number))
        if chance.random() < 0.1:
            text = text[: chance.randrange(len(text))]
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(text)
        await asyncio.sleep(chance.uniform(0, 0.02))
        if chance.random() < 0.5:  # as when its machine goes away, else as if it had been closed
            reset = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

    for first in range(0, 100, 10):
        await asyncio.gather(*(leave(first + n) for n in range(10)))
        assert len(set((await written(world)).values())) == 1
    for number in range(100):
        said = await world.ask(
            "POST",
            f"{world.place}/endpoints",
            {**wish, "name": f"left-{number}"},
            headers=keys(number),
        )
        assert said.status in ((201,) if keys(number) else (201, 409)), said
    assert set((await written(world)).values()) == {100}
    pool = world.database._pool
    await until(lambda: pool.get_idle_size() == pool.get_size())
    assert await world.database.value(BUSY) == 0


def keys(number: int) -> dict[str, str]:
    """Every second request has one."""
    return {KEY: f"left-{number}"} if number % 2 else {}


def request(world: World, wish: object, headers: dict[str, str]) -> bytes:
    body = msgspec.json.encode(wish)
    sent = {
        "Host": "api",
        "Authorization": f"Bearer {world.tokens['ann']}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {world.place}/endpoints HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
