"""What nobody needs goes, and what somebody needs stays, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.builder import image as images
from services.builder import machine, recipe
from services.builder.build import Build, Workshop
from services.builder.builder import Builder
from services.builder.cache import Cache
from services.builder.claims import Built, Claim
from services.builder.collect import collect
from services.builder.collect.chore import Chore
from services.builder.collect.collect import Collected, Collector, Keep
from services.builder.collect.marks import Marks
from services.builder.image import Layer
from services.builder.logbook import Write
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.database.pool import Database
from shared.endpoint import Definition, File
from shared.image import BaseRecord, Record
from shared.registry import Registries
from shared.service import Floor
from tests.builder import made
from tests.builder.test_builder import ended, running


class Attic:
    """The blobs of a test, all of which can be made old."""

    def __init__(self, database: Database, blobs: Blobs, folder: Path) -> None:
        self.database = database
        self.blobs = blobs
        self.folder = folder
        self.collector = Collector(database, blobs, Keep())

    async def age(self, days: int = 90) -> None:
        """Nothing was written or used for so long."""
        then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        for path in self.folder.rglob("*"):
            os.utime(path, (then, then))
        for table in ("layers", "uploads"):
            await self.database.execute(
                f"UPDATE {table} SET used_at = now() - make_interval(days => $1)", days
            )

    async def upload(self, content: bytes) -> str:
        digest = await made.put(self.blobs, content)
        await self.database.execute(
            "INSERT INTO uploads (project, digest, size) SELECT seq, $1, $2 FROM projects",
            digest,
            len(content),
        )
        return digest

    async def there(self) -> set[str]:
        return {kept.digest async for kept in self.blobs.kept()}


@pytest.fixture
async def attic(database: Database, blobs: Blobs, tmp_path: Path) -> Attic:
    await database.execute("INSERT INTO owners (name) VALUES ('acme')")
    await database.execute("INSERT INTO projects (owner, name) VALUES ('acme', 'web')")
    return Attic(database, blobs, tmp_path / "blobs")


async def test_what_a_batch_job_left_stays_until_the_job_is_given_up(attic: Attic) -> None:
    left = await made.put(attic.blobs, b"weights")
    await attic.database.execute(
        "INSERT INTO versions (id, project, name, definition) SELECT 'v1', seq, '1', '{}' FROM projects"
    )
    await attic.database.execute(
        "INSERT INTO jobs (id, project, kind, name, version, endpoint, target, state, outputs)"
        " SELECT 'j1', seq, 'batch', 'train', 'v1', 'e', 'process', 'finished', $1 FROM projects",
        left,
    )
    await attic.age()
    await attic.collector.collect()
    assert await attic.there() == {left}
    await attic.database.execute("UPDATE jobs SET state = 'purged'")
    await attic.collector.collect()
    assert await attic.there() == set()


async def test_the_traffic_of_old_hours_is_forgotten_and_all_else_of_profiles_is_not(
    attic: Attic,
) -> None:
    await attic.database.execute(
        "INSERT INTO versions (id, project, name, definition) SELECT 'v1', seq, '1', '{}' FROM projects"
    )
    await attic.database.execute(
        """
        INSERT INTO profiles (version, field, source, hour, sketch, summary)
        SELECT 'v1', 'inputs.x', given.source::text, given.hour::timestamptz, '', '{}'
          FROM (VALUES ('training', '-infinity'), ('recent', '-infinity'),
                       ('traffic', (now() - interval '31 days')::text),
                       ('traffic', (now() - interval '29 days')::text)) AS given (source, hour)
        """
    )
    assert await attic.collector.collect() == Collected(profiles=1)
    rows = await attic.database.fetch("SELECT source FROM profiles ORDER BY source")
    assert [row["source"] for row in rows] == ["recent", "traffic", "training"]


async def test_what_a_version_is_made_of_and_all_of_its_images_stay(
    attic: Attic, workshop: Workshop, tmp_path: Path
) -> None:
    source = await attic.upload(made.tar({"serve.py": "1", "requirements.txt": "tiny\n"}))
    model = await attic.upload(b"weights")
    endpoint = made.endpoint(files=(File(name="model", path="model.bin"),))
    definition = Definition(source=source, endpoints=(endpoint,), files={"greet": {"model": model}})

    async def make(held: Claim, folder: Path, write: Write) -> Built:
        return await Build(workshop, held, folder, write).run()

    await made.submitted(attic.database, definition)
    async with running(Builder(attic.database, make, tmp_path, look_every=0.05)):
        await ended(attic.database)
    stray = await made.put(attic.blobs, b"nobody's")
    await attic.age()
    await attic.collector.collect()
    assert stray not in await attic.there()
    assert {source, model} <= await attic.there()
    version = await made.version(attic.database)
    assert await images.is_whole(attic.blobs, version["images"]["greet"])
    assert await attic.database.value("SELECT count(*) FROM layers") == 0
    # what was kept for a version is worth as much as before, though the cache is empty
    again = tmp_path / "again"
    again.mkdir()
    built = await Build(workshop, made.claim(definition), again, print_).run()
    assert built.images == version["images"]


def print_(text: str, stream: str = "platform") -> None:
    pass


async def test_what_a_record_names_stays(attic: Attic) -> None:
    lock, bill = await made.put(attic.blobs, b"tiny==1.0"), await made.put(attic.blobs, b"{}")
    base = BaseRecord(name="python:3.11", reference="registry.example/python@sha256:" + "a" * 64)
    record = {"greet": Record(lock=lock, artifacts={"text/spdx": bill}, base=base)}
    source = await made.put(attic.blobs, b"source")
    await made.submitted(attic.database, Definition(source=source, endpoints=(made.endpoint(),)))
    await attic.database.execute("UPDATE versions SET state = 'ready', record = $1", record)
    await attic.age()
    await attic.collector.collect()
    assert await attic.there() == {lock, bill, source}


async def test_a_version_that_waits_keeps_its_source(attic: Attic) -> None:
    source = await attic.upload(b"source")
    await made.submitted(attic.database, Definition(source=source, endpoints=(made.endpoint(),)))
    await attic.age()
    assert (await attic.collector.collect()).uploads == 0
    assert await attic.there() == {source}


@pytest.mark.parametrize("over", ["terminated", "purged"])
async def test_what_an_endpoint_of_its_own_was_made_of_goes_when_its_jobs_are_over(
    attic: Attic, over: str
) -> None:
    source, image = await attic.upload(b"source"), await made.put(attic.blobs, b"image")
    definition = Definition(source=source, endpoints=(made.endpoint(),))
    first, second = await made.submitted(attic.database, definition, jobs=2)
    await attic.database.execute(
        "UPDATE versions SET state = 'ready', images = $1", {"greet": image}
    )
    for job, state in ((first, over), (second, "stopped")):
        await attic.database.execute("UPDATE jobs SET state = $2 WHERE id = $1", job, state)
    await attic.age()
    await attic.collector.collect()
    assert await attic.there() == {source, image}, "one of its jobs may be restarted"
    await attic.database.execute("UPDATE jobs SET state = $2 WHERE id = $1", second, over)
    assert (await attic.collector.collect()).uploads == 1
    assert await attic.there() == set()


async def test_what_the_cache_has_of_an_endpoint_goes_with_it_and_what_others_use_stays(
    attic: Attic, workshop: Workshop, tmp_path: Path
) -> None:
    async def make(held: Claim, folder: Path, write: Write) -> Built:
        return await Build(workshop, held, folder, write).run()

    made_of = {"over": "tiny\n", "lives": "tiny\n"}
    async with running(Builder(attic.database, make, tmp_path, look_every=0.05)):
        for version, requirements in made_of.items():
            files = {"serve.py": version, "requirements.txt": requirements}
            definition = Definition(
                source=await attic.upload(made.tar(files)), endpoints=(made.endpoint(),)
            )
            await made.submitted(attic.database, definition, version=version)
            await ended(attic.database, version)
    image = {version: await _image(attic, version) for version in made_of}
    own = await _layers(attic, image["over"]) - await _layers(attic, image["lives"])
    assert own, "its code"
    await attic.database.execute(
        "UPDATE jobs SET state = 'terminated', changed_at = now() - '2 days'::interval"
        " WHERE version = 'over'"
    )
    assert (await attic.collector.collect()).layers == 0, "a build may have it in hand"
    await attic.age(days=8)
    assert (await attic.collector.collect()).layers == 2, "its code and its image"
    assert not ({image["over"]} | own) & await attic.there()
    assert await images.is_whole(attic.blobs, image["lives"])
    assert await attic.database.value("SELECT count(*) FROM layers") > 0


async def _image(attic: Attic, version: str) -> str:
    found = await made.version(attic.database, version)
    return str(found["images"]["greet"])


async def _layers(attic: Attic, image: str) -> set[str]:
    return {layer.digest for layer in (await images.read(attic.blobs, image)).layers}


async def test_what_another_version_is_made_of_too_stays(attic: Attic) -> None:
    source = await attic.upload(b"source")
    definition = Definition(source=source, endpoints=(made.endpoint(),))
    for version in ("v1", "v2"):
        await made.submitted(attic.database, definition, version=version)
    await attic.database.execute("UPDATE jobs SET state = 'purged' WHERE version = 'v1'")
    await attic.age()
    await attic.collector.collect()
    assert await attic.there() == {source}


async def test_what_a_version_of_a_deployment_is_made_of_stays_with_it(attic: Attic) -> None:
    source = await attic.upload(b"source")
    definition = Definition(source=source, endpoints=(made.endpoint(),))
    await made.submitted(attic.database, definition)
    await attic.database.execute(
        "INSERT INTO deployments (id, project, name, target)"
        " SELECT 'd1', seq, 'web', 'process' FROM projects"
    )
    await attic.database.execute("UPDATE versions SET deployment = 'd1'")
    await attic.database.execute("UPDATE jobs SET state = 'terminated'")
    await attic.age()
    await attic.collector.collect()
    assert await attic.there() == {source}


async def test_an_upload_that_no_version_uses_is_forgotten_after_a_while(attic: Attic) -> None:
    await attic.upload(b"never used")
    assert await attic.collector.collect() == Collected()
    await attic.age()
    assert await attic.collector.collect() == Collected(uploads=1, blobs=1, size=10)
    assert await attic.there() == set()


async def test_a_layer_that_is_asked_for_is_not_forgotten(attic: Attic) -> None:
    cache = Cache(attic.database, attic.blobs)
    for key in ("used", "unused"):
        await cache.keep(key, await attic.blobs.put_bytes(key.encode()))
    await attic.age()
    assert await cache.find("used")
    assert (await attic.collector.collect()).layers == 1
    assert await cache.find("used")
    assert await cache.find("unused") is None


async def test_an_image_in_the_cache_keeps_its_layers(attic: Attic) -> None:
    cache = Cache(attic.database, attic.blobs)
    layer = await attic.blobs.put_bytes(b"a layer")
    host = machine.host()
    container = recipe.container(made.endpoint(), host)
    image = await images.keep(attic.blobs, container, host, [Layer(role="code", blob=layer)])
    await cache.keep("image", image)
    await attic.age()
    assert await cache.find("image")
    await attic.collector.collect()
    assert await images.is_whole(attic.blobs, image.digest)


async def test_a_blob_that_is_put_again_while_it_is_collected_stays(
    attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then it was found that nobody needs it."""
    digests = [await made.put(attic.blobs, name) for name in (b"one", b"two")]
    await attic.age()
    needed = Marks.needed

    async def meanwhile(self: Marks) -> set[str]:
        found = await needed(self)
        assert await made.put(attic.blobs, b"one") == digests[0]
        return found

    monkeypatch.setattr(Marks, "needed", meanwhile)
    assert (await attic.collector.collect()).blobs == 1
    assert await attic.there() == {digests[0]}


async def test_builds_and_collections_at_once_leave_every_version_whole(
    attic: Attic, workshop: Workshop, tmp_path: Path
) -> None:
    source = await attic.upload(made.tar({"serve.py": "1", "requirements.txt": "tiny\n"}))
    definitions = [
        Definition(source=source, endpoints=(made.endpoint(f"e{number % 3}"),))
        for number in range(9)
    ]

    async def make(held: Claim, folder: Path, write: Write) -> Built:
        await attic.age()
        return await Build(workshop, held, folder, write).run()

    for number, definition in enumerate(definitions):
        await made.submitted(attic.database, definition, version=f"v{number}")
    over = asyncio.Event()

    async def collect_on() -> None:
        while not over.is_set():
            await attic.collector.collect()

    collecting = asyncio.create_task(collect_on())
    async with running(Builder(attic.database, make, tmp_path, look_every=0.05, at_once=1)):
        for number in range(len(definitions)):
            await ended(attic.database, f"v{number}")
    over.set()
    await collecting
    for row in await attic.database.fetch("SELECT state, images FROM versions"):
        assert row["state"] == "ready"
        for image in row["images"].values():
            assert await images.is_whole(attic.blobs, image)


async def test_a_damaged_or_missing_manifest_does_not_stop_the_others(attic: Attic) -> None:
    damaged = await made.put(attic.blobs, b'{"layers": []}')
    place = attic.folder / "sha256" / damaged[7:9] / damaged[7:]
    place.write_bytes(b"{")
    images_ = {"a": damaged, "b": "sha256:" + "0" * 64}
    source = await made.put(attic.blobs, b"source")
    await made.submitted(attic.database, Definition(source=source, endpoints=(made.endpoint(),)))
    await attic.database.execute("UPDATE versions SET images = $1", images_)
    await made.put(attic.blobs, b"nobody's")
    await attic.age()
    assert (await attic.collector.collect()).blobs == 1


async def test_many_collectors_take_turns(database: Database) -> None:
    chores = [Chore(database, "collect", often=60.0, longest=60.0) for _ in range(8)]
    done = 0

    async def work(chore: Chore) -> None:
        nonlocal done
        async with chore.turn() as ours:
            done += ours
            await asyncio.sleep(0.01)

    for _ in range(2):
        await asyncio.gather(*(work(chore) for chore in chores))
    assert done == 1


async def test_who_dies_over_a_chore_is_followed_and_does_not_end_the_others(
    database: Database,
) -> None:
    dead = Chore(database, "collect", often=60.0, longest=0.0)
    living = Chore(database, "collect", often=60.0, longest=60.0)
    async with living.turn() as ours:
        assert ours
    await database.execute("UPDATE chores SET holder = $1, next_at = now()", dead._holder)
    async with living.turn() as ours:
        assert ours
        await database.execute("SELECT 1")
    assert await database.value("SELECT next_at > now() + '50 s'::interval FROM chores")


async def test_a_chore_that_failed_is_due_again_soon(database: Database) -> None:
    chore = Chore(database, "collect", often=86400.0, longest=86400.0)
    with pytest.raises(ZeroDivisionError):
        async with chore.turn():
            raise ZeroDivisionError
    assert await database.value("SELECT next_at < now() + '2 min'::interval FROM chores")


async def test_the_loop_collects_when_it_is_due(attic: Attic) -> None:
    await made.put(attic.blobs, b"nobody's")
    await attic.age()
    stopping = asyncio.Event()
    floor = Floor(attic.database, LocalBus(), attic.blobs)
    async with Registries.open() as registries:
        loop = collect.loop(floor, Keep(), registries, None, 3600.0)
        looping = asyncio.ensure_future(loop(stopping))
        async with asyncio.timeout(15):
            while await attic.there():
                await asyncio.sleep(0.01)
        stopping.set()
        await looping


def test_nothing_is_forgotten_within_a_day() -> None:
    with pytest.raises(ValueError, match="at least 1 day"):
        Keep(blobs=0.5)
