"""Trouble on the way: what is tried again, what is not, and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web

from slipway import AsyncClient, SlipwayError, Unreachable
from slipway.config import Settings
from slipway.transport import Transport
from slipway.types import Whoami
from tests.client.answers import refuse
from tests.client.fake import Fake
from tests.ports import free_port


@pytest.fixture
async def transport(fake: Fake) -> AsyncIterator[Transport]:
    settings = Settings(url=fake.url, token=fake.token)
    async with Transport(settings, tries=3, pause=0.001) as transport:
        yield transport


def busy(status: int = 503, **headers: str) -> web.Response:
    told = refuse(status, "unavailable", "Try again in a moment")
    told.headers.update(headers)
    return told


@pytest.mark.parametrize("status", [502, 503])
async def test_what_is_busy_is_asked_again(transport: Transport, fake: Fake, status: int) -> None:
    fake.faults = [busy(status), busy(status)]
    assert (await transport.get("/whoami", Whoami)).owner == "admin"
    assert len(fake.requests) == 3


async def test_a_post_is_sent_again_under_the_same_key(transport: Transport, fake: Fake) -> None:
    fake.faults = [busy()]
    await transport.post("/projects", dict, {"name": "vision"})
    first, second = (request.headers["Idempotency-Key"] for request in fake.requests)
    assert first == second
    await transport.post("/projects", dict, {"name": "other"})
    assert fake.requests[-1].headers["Idempotency-Key"] != first


async def test_an_upload_is_sent_again_whole(
    transport: Transport, fake: Fake, tmp_path: Path
) -> None:
    from slipway.calls.deployments import chunks
    from slipway.types import Upload

    path = tmp_path / "model.bin"
    path.write_bytes(bytes(range(256)) * 10_000)
    fake.faults = [busy()]
    await transport.upload("/projects/admin/default/uploads", Upload, lambda: chunks(path))
    assert list(fake.uploads.values()) == [path.read_bytes()]


async def test_it_gives_up_with_what_was_answered(transport: Transport, fake: Fake) -> None:
    fake.faults = [busy() for _ in range(3)]
    with pytest.raises(SlipwayError, match="Try again") as told:
        await transport.get("/whoami", Whoami)
    assert (told.value.status, len(fake.requests)) == (503, 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
async def test_other_answers_are_final(transport: Transport, fake: Fake, status: int) -> None:
    fake.faults = [refuse(status, "some-name", "A title", "and a detail")]
    with pytest.raises(SlipwayError, match="A title: and a detail") as told:
        await transport.get("/whoami", Whoami)
    assert (told.value.problem.name, len(fake.requests)) == ("some-name", 1)


async def test_an_answer_that_is_no_problem_becomes_one(transport: Transport, fake: Fake) -> None:
    fake.faults = [web.Response(status=404, text="<h1>not found</h1>")]
    with pytest.raises(SlipwayError, match="Not Found") as told:
        await transport.get("/whoami", Whoami)
    assert told.value.problem.type == "urn:slipway:problem:http-404"


@pytest.mark.parametrize("body", [b"<html>", b'{"owner": 1}', b"", b"\xff"])
async def test_a_success_that_makes_no_sense_is_told(
    transport: Transport, fake: Fake, body: bytes
) -> None:
    fake.faults = [web.Response(body=body)]
    with pytest.raises(SlipwayError, match="makes no sense") as told:
        await transport.get("/whoami", Whoami)
    assert "SLIPWAY_URL" in told.value.hint


async def test_fields_of_the_future_are_ignored(transport: Transport, fake: Fake) -> None:
    body = b'{"owner": "a", "role": "emperor", "router_url": "http://r", "moon": {"phase": 1}}'
    fake.faults = [web.Response(body=body)]
    assert (await transport.get("/whoami", Whoami)).role == "emperor"


async def test_where_nothing_listens_is_told_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with Transport(Settings(url=url, token="t"), tries=50, pause=10) as transport:
        with pytest.raises(Unreachable, match="cannot reach the platform") as told:
            await transport.get("/whoami", Whoami)
    assert "make up" in told.value.hint


async def test_a_platform_that_restarts_is_waited_for() -> None:
    port = free_port()

    async def whoami(request: web.Request) -> web.Response:
        body = b'{"owner": "a", "role": "admin", "router_url": "r"}'
        return web.Response(body=body, headers={"Connection": "close"})

    async def start() -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/v1/whoami", whoami)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    settings = Settings(url=f"http://127.0.0.1:{port}", token="t")
    async with Transport(settings, tries=50, pause=0.01) as transport:
        runner = await start()
        await transport.get("/whoami", Whoami)
        await runner.cleanup()
        asking = asyncio.create_task(transport.get("/whoami", Whoami))
        await asyncio.sleep(0)
        runner = await start()
        assert (await asking).owner == "a"
        await runner.cleanup()


@pytest.mark.parametrize("url", ["http://", "http://[", "http://exa mple"])
async def test_an_impossible_url_is_told(url: str) -> None:
    async with Transport(Settings(url=url, token="t"), tries=1) as transport:
        with pytest.raises(SlipwayError):
            await transport.get("/whoami", Whoami)


async def test_a_stream_that_breaks_is_taken_up_where_it_was(
    transport: Transport, fake: Fake
) -> None:
    for number in range(5):
        fake.happened("job.queued", f"j{number}")
    fake.cut = 3
    subjects = []
    async with aclosing(transport.stream("/events")) as messages:
        async for message in messages:
            subjects.append(message.id)
            if len(subjects) == 5:
                break
    assert subjects == ["1", "2", "3", "4", "5"]
    assert [r.headers.get("Last-Event-ID") for r in fake.requests] == [None, "1", "2", "3"]


async def test_a_stream_that_is_refused_is_an_error(transport: Transport, fake: Fake) -> None:
    fake.faults = [refuse(404, "not-found", "No such job")]
    with pytest.raises(SlipwayError, match="No such job"):
        await anext(transport.stream("/jobs/x/logs"))


async def test_newest_is_pinned_before_it_is_followed(fake: Fake) -> None:
    fake.happened("job.queued", "before")
    async with AsyncClient(fake.url, fake.token) as client:
        following = client.follow_events(after="newest")
        first = asyncio.ensure_future(anext(following))
        while len(fake.requests) < 2:
            await asyncio.sleep(0.01)
        fake.happened("job.queued", "after")
        event = await first
        await following.aclose()
    assert (event.subject, event.cursor) == ("after", "2")
    assert fake.requests[1].headers["Last-Event-ID"] == "1"
