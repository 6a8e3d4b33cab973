"""Uploads: streamed, limited, and a project's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.api import uploads
from services.api.context import Context
from tests.api.conftest import World


async def chunks() -> AsyncIterator[bytes]:
    """More than a megabyte, and nobody says so before."""
    for _ in range(20):
        yield b"x" * (1 << 16)


async def test_an_upload_is_known_by_its_digest(world: World) -> None:
    digest = await world.upload(b"content")
    path = f"{world.place}/uploads"
    assert (await world.ask("HEAD", f"{path}/{digest}")).status == 200
    assert (await world.ask("HEAD", f"{path}/sha256:{'0' * 64}")).status == 404
    assert await world.upload(b"content") == digest


async def test_an_upload_beyond_the_limit_is_refused_and_not_kept(world: World) -> None:
    said = await world.ask("POST", f"{world.place}/uploads", data=b"x" * ((1 << 20) + 1))
    assert (said.status, said.problem) == (413, "too-large")
    url = f"http://127.0.0.1:{world.port}{world.place}/uploads"
    sent = {"Authorization": f"Bearer {world.tokens['ann']}"}
    async with world.session.post(url, data=chunks(), headers=sent) as answer:
        assert answer.status == 413
    assert await world.database.value("SELECT count(*) FROM uploads") == 0


async def test_an_empty_upload_is_one(world: World) -> None:
    digest = await world.upload(b"")
    assert (await world.ask("HEAD", f"{world.place}/uploads/{digest}")).status == 200


async def test_an_upload_that_is_asked_for_is_not_forgotten(world: World) -> None:
    digest = await world.upload(b"content")
    for again in ("HEAD", "POST"):
        await world.database.execute("UPDATE uploads SET used_at = now() - '9 days'::interval")
        path = f"{world.place}/uploads" + (f"/{digest}" if again == "HEAD" else "")
        data = b"content" if again == "POST" else None
        assert (await world.ask(again, path, data=data)).status in (200, 201)
        assert await world.database.value("SELECT now() - used_at < '1 min' FROM uploads")


async def test_an_upload_that_is_forgotten_while_a_version_is_made_is_missed_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = uploads.use

    async def too_late(*values: Any) -> None:
        await world.database.execute("DELETE FROM uploads")
        await use(*values)

    monkeypatch.setattr("services.api.uploads.use", too_late)
    wish = await world.wish()
    said = await world.ask("POST", f"{world.place}/deployments/mnist/versions", wish)
    assert (said.status, said.problem) == (409, "upload-gone")
    assert await world.database.value("SELECT count(*) FROM versions") == 0


async def test_a_project_has_room_for_so_many_bytes_and_no_more(
    world: World, context: Context
) -> None:
    context.project_limit = 100_000
    await world.upload(b"x" * 60_000)
    for data in (b"y" * 40_001, chunks()):
        url = f"http://127.0.0.1:{world.port}{world.place}/uploads"
        sent = {"Authorization": f"Bearer {world.tokens['ann']}"}
        async with world.session.post(url, data=data, headers=sent) as answer:
            told = await answer.json(content_type=None)
        assert (answer.status, told["type"].rpartition(":")[2]) == (413, "no-room")
        assert "100000 bytes, and 40000 of them are left" in told["detail"]
    await world.upload(b"y" * 40_000)
    await world.upload(b"z" * 60_000, as_="bob", place="/v1/projects/bob/barn")
