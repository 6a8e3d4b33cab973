"""Logs and events as people follow them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse

from services.api import cursor, stream, token
from services.api.context import Context
from shared.database.logs import Line, keep
from tests.api.conftest import World

Told = tuple[str, str, Any]  # id, event, data


@asynccontextmanager
async def following(
    world: World, path: str, *, as_: str = "ann", **headers: str
) -> AsyncIterator[ClientResponse]:
    sent = {
        "Authorization": f"Bearer {world.tokens[as_]}",
        "Accept": "text/event-stream",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    url = f"http://127.0.0.1:{world.port}{path}"
    async with world.session.get(url, headers=sent) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield answer


async def told(answer: ClientResponse) -> Told:
    """The next event; comments are passed over."""
    found: dict[str, str] = {}
    async with asyncio.timeout(20):
        while True:
            line = (await answer.content.readline()).decode()
            if not line:
                raise EOFError
            if line == "\n" and "event" in found:
                return found.get("id", ""), found["event"], msgspec.json.decode(found["data"])
            name, _, value = line.rstrip("\n").partition(": ")
            found[name] = value


async def job(world: World) -> str:
    return str((await world.made(f"{world.place}/endpoints", await world.endpoint()))["id"])


async def write(world: World, subject: str, *numbers: int, attempt: int = 1) -> None:
    now = datetime.now(UTC)
    lines = [Line(line=n, at=now, stream="stdout", text=f"line {n}") for n in numbers]
    await keep(world.database, subject, attempt, lines)


async def positions(world: World) -> None:
    """What the relay does."""
    await world.database.execute(
        "UPDATE events SET position = nextval('event_positions') WHERE position IS NULL"
    )


async def test_a_log_is_paged_newest_first_over_its_attempts(world: World) -> None:
    made = await job(world)
    await write(world, made, *range(1, 6))
    await write(world, made, 1, 2, attempt=2)
    seen, after = [], ""
    while True:
        page = (await world.ask("GET", f"/v1/jobs/{made}/logs?limit=3&after={after}")).body
        seen += [(line["attempt"], line["line"]) for line in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [(2, 2), (2, 1), (1, 5), (1, 4), (1, 3), (1, 2), (1, 1)]


async def test_a_log_is_followed_until_the_job_is_over(world: World) -> None:
    made = await job(world)
    await write(world, made, 1)
    async with following(world, f"/v1/jobs/{made}/logs") as answer:
        assert (await told(answer))[:2] == ("1.1", "line")
        await write(world, made, 2)
        number, _, line = await told(answer)
        assert (number, line["text"]) == ("1.2", "line 2")
        await write(world, made, 3)
        await world.put_state(made, "failed")
        assert (await told(answer))[0] == "1.3"
        assert await told(answer) == ("", "end", "failed")
        with pytest.raises(EOFError):
            await told(answer)


async def test_following_goes_on_after_the_last_line_seen(world: World) -> None:
    made = await job(world)
    await write(world, made, 1, 2, 3)
    path = f"/v1/jobs/{made}/logs?follow=true"
    async with following(world, path, Last_Event_ID="1.2") as answer:
        assert (await told(answer))[0] == "1.3"
    said = await world.ask("GET", path, headers={"Last-Event-ID": "x"})
    assert (said.status, said.fields) == (422, ["after"])


async def test_a_build_is_followed_until_the_version_is_ready(world: World) -> None:
    version = await world.version(name="v1")
    await write(world, version["id"], 1)
    path = f"{world.place}/deployments/mnist/versions/v1/logs"
    async with following(world, path) as answer:
        assert (await told(answer))[0] == "1.1"
        await world.database.execute("UPDATE versions SET state = 'ready'")
        assert (await told(answer))[1:] == ("end", "ready")


async def test_a_build_is_found_by_its_job_too(world: World) -> None:
    made = await job(world)
    path = f"/v1/jobs/{made}"
    version = (await world.ask("GET", path)).body["version"]
    await write(world, version, 1, 2)
    page = (await world.ask("GET", path + "/build/logs")).body
    assert [line["line"] for line in page["items"]] == [2, 1]
    async with following(world, path + "/build/logs") as answer:
        assert (await told(answer))[0] == "1.1"
        await world.database.execute("UPDATE versions SET state = 'failed'")
        assert (await told(answer))[0] == "1.2"
        assert (await told(answer))[1:] == ("end", "failed")


async def test_a_forged_place_of_any_length_is_refused(world: World) -> None:
    forged = {"Last-Event-ID": cursor.make("events", "9" * 5000)}
    said = await world.ask("GET", "/v1/events", headers=forged)
    assert (said.status, said.fields) == (422, ["after"])


async def test_events_are_followed_from_a_cursor_without_a_gap(world: World) -> None:
    await job(world)
    await positions(world)
    page = (await world.ask("GET", "/v1/events?limit=2")).body
    types = [event["type"] for event in page["items"]]
    assert types == ["slipway.deployment.created.v1", "slipway.version.submitted.v1"]
    async with following(world, f"/v1/events?after={page['next']}") as answer:
        number, name, event = await told(answer)
        assert name == event["type"] == "slipway.job.submitted.v1"
        assert event["specversion"] == "1.0"
        await world.made(f"{world.place}/deployments", {"name": "next"})
        await positions(world)
        assert (await told(answer))[2]["data"]["name"] == "next"
    async with following(world, "/v1/events", Last_Event_ID=number) as answer:
        assert (await told(answer))[2]["data"]["name"] == "next"


async def test_a_page_of_events_always_says_where_to_go_on(world: World) -> None:
    await positions(world)
    page = (await world.ask("GET", "/v1/events")).body
    empty = (await world.ask("GET", f"/v1/events?after={page['next']}")).body
    assert empty == {"items": [], "next": page["next"]}
    await job(world)
    await positions(world)
    assert len((await world.ask("GET", f"/v1/events?after={page['next']}")).body["items"]) == 2
    newest = (await world.ask("GET", "/v1/events?after=newest")).body
    assert newest["items"] == []


async def test_others_events_are_not_told(world: World) -> None:
    await job(world)
    await world.made("/v1/projects/bob/barn/deployments", {"name": "bobs"}, as_="bob")
    await positions(world)
    async with following(world, "/v1/events", as_="bob") as answer:
        assert (await told(answer))[2]["data"]["name"] == "bobs"


async def test_a_revoked_token_ends_its_streams(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token, "TRUST", 0.1)
    monkeypatch.setattr(stream, "CHECK", 0.1)
    made = await world.token("brief", "ann", "read")
    await positions(world)
    async with following(world, "/v1/events?after=newest", as_="brief") as answer:
        await world.ask("DELETE", f"/v1/owners/ann/tokens/{made}")
        with pytest.raises(EOFError):
            await told(answer)


async def test_streams_end_when_the_service_stops(world: World, context: Context) -> None:
    async with following(world, "/v1/events?after=newest") as answer:
        context.stopping.set()
        with pytest.raises(EOFError):
            await told(answer)


async def test_too_many_streams_are_told_to_come_again(world: World, context: Context) -> None:
    context.streams = 1
    async with following(world, "/v1/events?after=newest"):
        said = await world.ask("GET", "/v1/events?follow=true")
        assert (said.status, said.problem) == (503, "unavailable")
        assert said.headers["Retry-After"] == "5"


async def test_a_reader_who_leaves_frees_the_place(world: World, context: Context) -> None:
    async with following(world, "/v1/events?after=newest"):
        assert context.streaming == 1
    async with asyncio.timeout(10):
        while context.streaming:
            await asyncio.sleep(0.01)
