"""Code that the platform fetches: asked for, waited for, and deployed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from slipway import AsyncClient, Failed, SlipwayError
from slipway.deploy import Repository, Step, name_for
from slipway.errors import BadSource, BadUsage, Slow
from slipway.types import Source
from tests.client.conftest import ROUTE, Platform
from tests.client.harness import Run

URL = "https://git.example/ann/Iris_Model.git"
COMMIT = "c0" * 20


async def begun(client: AsyncClient) -> None:
    """A source waits to be fetched."""
    async with asyncio.timeout(30):
        while "fetching" not in [source.state for source in await client.sources()]:
            await asyncio.sleep(0.01)


async def play(
    client: AsyncClient, platform: Platform, code: Path, told: Callable[[str], Awaitable[None]]
) -> None:
    """The builder's part, once there is something to fetch; `told` gets the code's digest."""
    uploaded = await client.upload(code)
    await begun(client)
    await told(uploaded.digest)


async def test_a_repository_becomes_a_version(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    steps: list[Step] = []
    playing = asyncio.create_task(
        play(client, platform, code, lambda digest: platform.fetched(digest, COMMIT))
    )
    version = await client.deploy(git=URL, ref="v1", folder="models/Iris", watch=steps.append)
    await playing
    assert version.deployment == "iris"
    (source,) = await client.sources()
    assert (source.url, source.ref, source.path) == (URL, "v1", "models/Iris")
    assert source.commit == COMMIT
    assert version.source == source.digest
    assert [step.kind for step in steps][:2] == ["fetching", "fetched"]


async def test_what_can_not_be_fetched_is_told(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    seen: list[Source] = []
    playing = asyncio.create_task(
        play(client, platform, code, lambda _: platform.unfetched("ref: names no branch"))
    )
    with pytest.raises(Failed, match=r"can't be fetched: ref: names no branch"):
        await client.fetch(URL, ref="nowhere", watch=seen.append)
    await playing
    assert [source.state for source in seen] == ["fetching", "failed"]
    with pytest.raises(SlipwayError) as caught:
        await client.fetch("http://127.0.0.1/x")
    assert [wrong.field for wrong in caught.value.errors] == ["url"]


async def test_a_fetch_that_takes_long_is_left(client: AsyncClient) -> None:
    with pytest.raises(Slow, match="was not fetched within"):
        await client.fetch(URL, timeout=0.2)
    (source,) = await client.sources()
    assert (await client.source(source.id)).state == "fetching"


async def test_an_endpoint_of_a_repository(
    client: AsyncClient, platform: Platform, code: Path
) -> None:
    playing = asyncio.create_task(
        play(client, platform, code, lambda digest: platform.fetched(digest, COMMIT))
    )
    job = await client.create_endpoint("churn", git=URL, routes=[ROUTE])
    await playing
    assert job.name == "churn"
    review = await client.review_endpoint("other", git=URL, routes=[ROUTE])
    assert review.ok
    assert len(await client.sources()) == 1


@pytest.mark.parametrize("form", ["plain", "json"])
async def test_the_command_line_shows_what_was_fetched(
    form: str, run: Run, client: AsyncClient, platform: Platform, code: Path
) -> None:
    playing = asyncio.create_task(
        play(client, platform, code, lambda digest: platform.fetched(digest, COMMIT))
    )
    ran = await run("deploy", "--git", URL, "--ref", "v1", *(["--json"] if form == "json" else []))
    await playing
    assert ran.code == 0, ran.err
    if form == "json":
        assert (ran.json["deployment"], ran.err) == ("iris-model", "")
    else:
        assert f"fetched {URL} at {COMMIT} (7 B)\n  note: no LFS\n" in ran.err
        assert ran.out.startswith("predict  http")


async def test_an_endpoint_is_created_from_the_command_line(
    run: Run, client: AsyncClient, platform: Platform, code: Path
) -> None:
    ask = ("endpoint", "create", "churn", "--git", URL, "--route", json.dumps(ROUTE))
    reviewed = await run(*ask, "--review")
    assert reviewed.code == 0, reviewed.err
    playing = asyncio.create_task(
        play(client, platform, code, lambda digest: platform.fetched(digest, COMMIT))
    )
    made = await run(*ask, "--ref", "main")
    await playing
    assert made.code == 0, made.err
    assert f"at {COMMIT}" in made.err
    assert "name     churn\n" in made.out


async def test_a_failed_fetch_exits_with_1(
    run: Run, client: AsyncClient, platform: Platform, code: Path
) -> None:
    playing = asyncio.create_task(
        play(client, platform, code, lambda _: platform.unfetched("url: redirects"))
    )
    ran = await run("deploy", "--git", URL)
    await playing
    assert (ran.code, ran.out) == (1, "")
    assert f"error: {URL} can't be fetched: url: redirects" in ran.err


@pytest.mark.parametrize(
    "argv",
    [
        ("deploy",),
        ("deploy", ".", "--git", URL),
        ("deploy", ".", "--ref", "v1"),
        ("deploy", "--ref", "v1"),
        ("deploy", ".", "--folder", "x"),
        ("endpoint", "create", "x", "--path", ".", "--folder", "x", "--start-command", "x"),
        ("endpoint", "create", "x", "--path", ".", "--ref", "v1", "--start-command", "x"),
        ("endpoint", "create", "x", "--path", ".", "--git", URL, "--start-command", "x"),
    ],
)
@pytest.mark.parametrize("platform", ["fake"], indirect=True)
async def test_what_makes_no_sense_together_is_said(run: Run, argv: tuple[str, ...]) -> None:
    ran = await run(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")


def test_a_deployment_is_named_after_the_repository() -> None:
    assert name_for(Repository(url=URL)) == "iris-model"
    assert name_for(Repository(url="https://git.example/a/b.git/")) == "b"
    with pytest.raises(BadSource):
        name_for(Repository(url="https://git.example/---"))


async def test_both_or_neither_is_no_code(client: AsyncClient, code: Path) -> None:
    with pytest.raises(BadUsage):
        await client.deploy()
    with pytest.raises(BadUsage):
        await client.deploy(code, git=URL)
