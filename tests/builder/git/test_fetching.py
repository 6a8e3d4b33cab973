"""The loop: every source ends once, whoever dies, stalls or stops in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder.git import claims
from services.builder.git.claims import Failed
from services.builder.git.fetch import Fetched, Wanted
from services.builder.git.fetching import MOST_CLAIMS, MOST_ERRORS, Fetch, Fetching
from services.builder.main import Config, compose
from shared.blobs import Blob, Blobs
from shared.bus.local import LocalBus
from shared.database.pool import Database
from shared.errors import Invalid, Permanent, Transient
from shared.events import Event
from shared.service import Floor
from tests.beds.git import Repository

URL = "https://git.example/ann/house.git"
FETCHED = Fetched(
    blob=Blob(digest="sha256:" + "a" * 64, size=7), commit="c0" * 20, notes=("a note",)
)
EVENT = Event(
    id="1", source="/", type="t", subject="s1", time=datetime.now(UTC), data=msgspec.Raw(b"{}")
)


async def asked(database: Database, source: str = "s1", url: str = URL, ref: str = "HEAD") -> None:
    """A source as the API writes it, in project acme/web."""
    await database.execute("INSERT INTO owners (name) VALUES ('acme') ON CONFLICT DO NOTHING")
    await database.execute(
        "INSERT INTO projects (owner, name) VALUES ('acme', 'web') ON CONFLICT DO NOTHING"
    )
    await database.execute(
        "INSERT INTO sources (id, project, url, ref) SELECT $1, seq, $2, $3 FROM projects",
        source,
        url,
        ref,
    )


async def row(database: Database, source: str = "s1") -> Any:
    return await database.row("SELECT * FROM sources WHERE id = $1", source)


async def facts(database: Database) -> list[tuple[str, Any]]:
    rows = await database.fetch("SELECT type, data FROM events ORDER BY seq")
    return [(row["type"], row["data"]) for row in rows]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.01)


async def ended(database: Database, source: str = "s1") -> Any:
    async def over() -> bool:
        return str((await row(database, source))["state"]) != "fetching"

    await until(over)
    return await row(database, source)


@asynccontextmanager
async def running(fetching: Fetching) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(fetching.loop(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


FetchingOf = Callable[..., Fetching]


@pytest.fixture
def fetching_of(database: Database, tmp_path: Path) -> FetchingOf:
    def make(fetch: Fetch, **settings: Any) -> Fetching:
        given = {"look_every": 0.05, "pause": 0.01} | settings
        return Fetching(database, fetch, tmp_path / "work", **given)

    return make


async def well(wanted: Wanted, folder: Path) -> Fetched:
    assert not any(folder.iterdir())
    return FETCHED


def fails(error: Exception) -> Fetch:
    async def fetch(wanted: Wanted, folder: Path) -> Fetched:
        raise error

    return fetch


class Slow:
    """A fetch that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, wanted: Wanted, folder: Path) -> Fetched:
        self.begun.set()
        await self.go.wait()
        return FETCHED


async def test_what_came_is_the_projects_and_is_announced(
    database: Database, fetching_of: FetchingOf, tmp_path: Path
) -> None:
    await asked(database)
    async with running(fetching_of(well)):
        found = await ended(database)
    assert (found["state"], found["commit"], found["notes"]) == ("ready", "c0" * 20, ["a note"])
    assert (found["digest"], found["size"], found["lease"]) == (FETCHED.blob.digest, 7, None)
    (upload,) = await database.fetch("SELECT * FROM uploads")
    assert (upload["digest"], upload["size"]) == (FETCHED.blob.digest, 7)
    assert await facts(database) == [
        (
            "slipway.source.ready.v1",
            {"source": "s1", "commit": "c0" * 20, "digest": FETCHED.blob.digest},
        )
    ]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Invalid("url", "redirects"), "url: redirects"),
        (Permanent("git is not installed"), "git is not installed"),
        (Invalid("ref", "NUL \0 and \x1b[31mred"), "ref: NUL  and red"),
    ],
)
async def test_what_can_not_be_fetched_fails_with_its_reason(
    database: Database, fetching_of: FetchingOf, error: Exception, reason: str
) -> None:
    await asked(database)
    async with running(fetching_of(fails(error))):
        found = await ended(database)
    assert (found["state"], found["reason"], found["digest"]) == ("failed", reason, None)
    assert await facts(database) == [
        ("slipway.source.failed.v1", {"source": "s1", "reason": reason})
    ]
    assert await database.value("SELECT count(*) FROM uploads") == 0


@pytest.mark.parametrize("error", [Transient("the host is away"), RuntimeError("ours")])
async def test_trouble_is_tried_again_and_not_for_ever(
    database: Database, fetching_of: FetchingOf, error: Exception
) -> None:
    await asked(database)
    tries = 0

    async def fetch(wanted: Wanted, folder: Path) -> Fetched:
        nonlocal tries
        tries += 1
        raise error

    async with running(fetching_of(fetch)):
        found = await ended(database)
    assert tries == MOST_ERRORS
    assert found["state"] == "failed"
    assert found["reason"].endswith(f"{MOST_ERRORS} times")
    assert "ours" not in found["reason"]


async def test_news_of_a_source_wakes_the_loop(database: Database, fetching_of: FetchingOf) -> None:
    fetching = fetching_of(well, look_every=60.0)
    async with running(fetching):
        await asyncio.sleep(0.05)
        await asked(database)
        await fetching.on_source_submitted(EVENT)
        await ended(database)


async def test_a_builder_that_stops_gives_back_what_it_has(
    database: Database, fetching_of: FetchingOf
) -> None:
    await asked(database)
    slow = Slow()
    async with running(fetching_of(slow)):
        await slow.begun.wait()
    found = await row(database)
    assert (found["state"], found["lease"], found["claims"]) == ("fetching", None, 0)
    async with running(fetching_of(well)):
        assert (await ended(database))["state"] == "ready"


async def test_a_builder_that_died_is_followed_by_another(
    database: Database, fetching_of: FetchingOf
) -> None:
    await asked(database)
    dead = await claims.claim(database, "dead", 0.05)
    assert dead is not None
    async with running(fetching_of(well)):
        assert (await ended(database))["state"] == "ready"
    assert not await claims.finish(database, dead, Failed("late"))
    assert not await claims.renew(database, dead)
    await claims.give_back(database, dead, pause=0.0)
    assert (await row(database))["state"] == "ready"


async def test_a_lease_is_renewed_while_a_fetch_goes_on(
    database: Database, fetching_of: FetchingOf
) -> None:
    await asked(database)
    slow = Slow()
    async with running(fetching_of(slow, lease=0.3)):
        await slow.begun.wait()
        first = (await row(database))["lease_until"]

        async def later() -> bool:
            return bool((await row(database))["lease_until"] > first)

        await until(later)
        assert await claims.claim(database, "other") is None
        slow.go.set()
        assert (await ended(database))["claims"] == 1


async def test_what_is_lost_is_left_to_whoever_has_it(
    database: Database, fetching_of: FetchingOf
) -> None:
    await asked(database)
    slow = Slow()
    async with running(fetching_of(slow, lease=0.3, at_once=1)):
        await slow.begun.wait()
        await database.execute(
            "UPDATE sources SET lease = 'other', lease_until = now() + interval '1 hour'"
        )
        await asyncio.sleep(0.4)
        slow.go.set()
    assert (await row(database))["lease"] == "other"
    assert (await row(database))["state"] == "fetching"


async def test_a_source_that_kills_builders_fails(
    database: Database, fetching_of: FetchingOf
) -> None:
    await asked(database)
    await database.execute("UPDATE sources SET claims = $1", MOST_CLAIMS)
    async with running(fetching_of(well)):
        found = await ended(database)
    assert found["state"] == "failed"
    assert f"ended {MOST_CLAIMS} builders" in found["reason"]


async def test_of_two_builders_one_has_a_source(database: Database) -> None:
    for number in range(6):
        await asked(database, f"s{number}")
    held = await asyncio.gather(*(claims.claim(database, f"l{n}") for n in range(9)))
    taken = [claim.id for claim in held if claim is not None]
    assert sorted(taken) == [f"s{number}" for number in range(6)]


async def test_the_builder_as_it_is_wired_fetches(
    database: Database, database_url: str, root: Path, server: str, blobs: Blobs, tmp_path: Path
) -> None:
    commit = Repository(root / "house.git").files({"valohai.yaml": "- endpoint:\n"})
    config = Config(
        database_url=database_url,
        work_dir=str(tmp_path / "build"),
        builder_port=0,
        git_private_hosts=server.partition("://")[2],
    )
    stopping = asyncio.Event()
    await asked(database, url=f"{server}/house.git", ref="main")
    async with compose(config, Floor(database, LocalBus(), blobs)) as loops:
        work = asyncio.gather(*(loop(stopping) for loop in loops))
        found = await ended(database)
        stopping.set()
        await work
    assert (found["state"], found["commit"]) == ("ready", commit)
    assert await blobs.size(found["digest"]) == found["size"]
