"""Code in git repositories: asked for, waited for, and used like an upload. The test plays the builder."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.api import sources
from shared.ids import SourceId
from tests.api.conftest import VALOHAI, World, tar

URL = "https://git.example/ann/house.git"
COMMIT = "c0" * 20


async def ready(world: World, source: str, content: bytes, commit: str = COMMIT) -> str:
    """As the builder ends a fetch: the archive is kept, and is the project's."""
    digest = await world.upload(content)
    await world.database.execute(
        "UPDATE sources SET state = 'ready', digest = $2, size = $3, commit = $4 WHERE id = $1",
        source,
        digest,
        len(content),
        commit,
    )
    return digest


async def asked(world: World, **more: str) -> Any:
    said = await world.ask("POST", f"{world.place}/sources", {"url": URL, **more})
    assert said.status == 202, said
    return said.body


async def test_a_source_is_accepted_and_told_to_the_builders(world: World) -> None:
    made = await asked(world, ref="v1", path="models/digits/")
    assert made["id"].startswith("s")
    assert (made["state"], made["digest"], made["commit"]) == ("fetching", None, None)
    assert (made["url"], made["ref"], made["path"]) == (URL, "v1", "models/digits")
    shown = await world.ask("GET", f"{world.place}/sources/{made['id']}")
    assert shown.body == made
    fact = await world.database.row("SELECT * FROM events ORDER BY seq DESC LIMIT 1")
    assert fact is not None
    assert (fact["type"], fact["subject"]) == ("slipway.source.submitted.v1", made["id"])
    assert fact["data"] == {"source": made["id"], "url": URL, "ref": "v1"}


async def test_a_version_says_where_its_code_came_from(world: World) -> None:
    made = await asked(world, ref="main")
    digest = await ready(world, made["id"], tar({"valohai.yaml": VALOHAI}))
    wish = await world.wish()
    path = f"{world.place}/deployments/mnist/versions"
    version = await world.made(path, {**wish, "source": digest})
    assert version["origin"] == {"url": URL, "ref": "main", "commit": COMMIT}
    assert (await world.made(path, wish))["origin"] is None


async def test_the_newest_of_equal_sources_is_the_origin(world: World) -> None:
    content = tar({"valohai.yaml": VALOHAI})
    for ref in ("old", "new"):
        digest = await ready(world, (await asked(world, ref=ref))["id"], content)
    wish = await world.wish(source=digest)
    version = await world.made(f"{world.place}/deployments/mnist/versions", wish)
    assert version["origin"]["ref"] == "new"


async def test_what_is_wrong_is_told_at_once_by_field_and_written_nowhere(world: World) -> None:
    wrong = {"url": "http://127.0.0.1/x", "ref": "-x", "path": "../y"}
    said = await world.ask("POST", f"{world.place}/sources", wrong)
    assert (said.status, said.fields) == (422, ["url", "ref", "path"])
    assert await world.database.value("SELECT count(*) FROM sources") == 0


async def test_the_same_key_asks_once(world: World) -> None:
    sent = {"Idempotency-Key": "once"}
    path = f"{world.place}/sources"
    both = await asyncio.gather(
        *(world.ask("POST", path, {"url": URL}, headers=sent) for _ in range(5))
    )
    assert {said.status for said in both} == {202}
    assert len({said.body["id"] for said in both}) == 1


async def test_sources_are_listed_newest_first(world: World) -> None:
    made = [(await asked(world, ref=f"v{number}"))["id"] for number in range(3)]
    first = await world.ask("GET", f"{world.place}/sources?limit=2")
    assert [item["id"] for item in first.body["items"]] == [made[2], made[1]]
    rest = await world.ask("GET", f"{world.place}/sources?after={first.body['next']}")
    assert [item["id"] for item in rest.body["items"]] == [made[0]]


async def test_a_project_has_only_so_many_that_wait(world: World) -> None:
    made = [await asked(world, ref=f"v{number}") for number in range(sources.WAITING)]
    said = await world.ask("POST", f"{world.place}/sources", {"url": URL})
    assert (said.status, said.problem) == (409, "too-many-sources")
    await ready(world, made[0]["id"], b"x")
    await asked(world)


class TestAModelInAGitRepository:
    async def body(self, world: World, **model: str) -> Any:
        made = await world.endpoint()
        return {**made, "model": {"source_type": "git", "source_uri": URL, **model}}

    async def waiting(self, world: World) -> SourceId:
        async with asyncio.timeout(10):
            while True:
                row = await world.database.row("SELECT id FROM sources WHERE state = 'fetching'")
                if row is not None:
                    return SourceId(row["id"])
                await asyncio.sleep(0.01)

    async def test_is_fetched_and_submitted_in_one_request(self, world: World) -> None:
        body = await self.body(world, source_ref="v1")
        asking = asyncio.create_task(world.ask("POST", f"{world.place}/endpoints", body))
        source = await self.waiting(world)
        digest = await ready(world, source, tar({"predict.py": "def f(a): return a"}))
        said = await asking
        assert said.status == 201, said
        kept = await world.database.value(
            "SELECT definition FROM versions WHERE id = $1", said.body["version"]
        )
        assert kept["source"] == digest
        assert kept["origin"] == {"url": URL, "ref": "v1", "commit": COMMIT}

    async def test_that_takes_long_is_asked_for_again_and_fetched_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "PATIENCE", 0.0)
        body, path = await self.body(world), f"{world.place}/endpoints"
        for _ in range(2):
            said = await world.ask("POST", path, body)
            assert (said.status, said.headers["Retry-After"]) == (503, "2")
        await ready(world, await self.waiting(world), tar({"predict.py": ""}))
        monkeypatch.setattr(sources, "PATIENCE", 5.0)
        assert (await world.ask("POST", path, body)).status == 201
        assert await world.database.value("SELECT count(*) FROM sources") == 1

    @pytest.mark.parametrize(
        ("reason", "field", "message"),
        [
            ("ref: names no branch", "model.source_ref", "names no branch"),
            ("url: redirects", "model.source_uri", "redirects"),
            ("the host: is away", "model.source_uri", "failed: the host: is away"),
        ],
    )
    async def test_that_can_not_be_fetched_is_told_by_its_field(
        self, world: World, reason: str, field: str, message: str
    ) -> None:
        body = await self.body(world)
        asking = asyncio.create_task(world.ask("POST", f"{world.place}/endpoints", body))
        await world.database.execute(
            "UPDATE sources SET state = 'failed', reason = $2 WHERE id = $1",
            await self.waiting(world),
            reason,
        )
        said = await asking
        assert said.status == 422
        assert said.body["errors"] == [{"field": field, "message": message}]

    async def test_is_not_fetched_for_a_review_or_a_wrong_endpoint(self, world: World) -> None:
        body = await self.body(world)
        review = await world.ask("POST", f"{world.place}/endpoints/review", body)
        assert review.body["ok"] is True
        wrong = {**body, "model": {**body["model"], "source_uri": "ssh://git.example/x"}}
        review = await world.ask("POST", f"{world.place}/endpoints/review", wrong)
        assert [e["field"] for e in review.body["errors"]] == ["model.source_uri"]
        said = await world.ask("POST", f"{world.place}/endpoints", {**body, "endpoint": {}})
        assert said.fields == ["endpoint.routes"]
        assert await world.database.value("SELECT count(*) FROM sources") == 0
