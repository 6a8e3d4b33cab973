"""Uploads: streamed, limited, and a project's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
