"""Trouble of ours: told apart from people's mistakes, and without a word too much."""

from __future__ import annotations

import logging

import pytest

from services.api import jobs
from services.api.context import Context
from shared.database.pool import Database
from shared.errors import Transient
from tests.api.conftest import World


async def test_a_database_that_is_away_is_a_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Transient("PostgreSQL: connection refused at 10.0.0.7")

    monkeypatch.setattr(Database, "row", away)
    said = await world.ask("GET", "/v1/whoami", as_="reader")
    assert (said.status, said.problem) == (503, "unavailable")
    assert int(said.headers["Retry-After"]) > 0
    assert "10.0.0.7" not in str(said.body)


async def test_a_bug_is_a_500_with_a_number_that_is_in_our_log(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret inner state")

    monkeypatch.setattr(Database, "row", broken)
    with caplog.at_level(logging.ERROR):
        said = await world.ask("GET", "/v1/jobs/j1")
    assert (said.status, said.problem) == (500, "internal")
    assert "secret" not in str(said.body)
    number = said.body["detail"].rpartition(" ")[2]
    assert number in caplog.text
    assert "jobs.show" in caplog.text


async def test_what_fails_in_the_middle_writes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = (await world.ask("POST", f"{world.place}/endpoints", await world.endpoint())).body["id"]
    written = "SELECT (SELECT xmin::text FROM jobs), (SELECT count(*) FROM events)"
    before = await world.database.row(written)

    async def broken(*_: object) -> None:
        raise RuntimeError("after the writes")

    monkeypatch.setattr(jobs, "read", broken)
    assert (await world.ask("POST", f"/v1/jobs/{job}/stop")).status == 500
    assert await world.database.row(written) == before


async def test_trust_in_a_token_ends_with_its_life(context: Context, world: World) -> None:
    await world.token("brief", "ann", "read", "1.5 seconds")
    who = await context.tokens.identify(world.tokens["brief"])
    assert who.remaining is not None
    assert who.remaining < 2
