"""A failed version leaves no name in the registry, and takes nothing of the others with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.builder.build import tag_of
from services.builder.collect.shelves import Cleared, Shelves
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.image import MANIFEST_TYPE
from shared.registry import Registries
from tests.beds.registry import registry
from tests.builder import made
from tests.pushed import Yard, yard

DEFINITION = Definition(source="sha256:" + "a" * 64, endpoints=(made.endpoint(),))


class Place:
    def __init__(self, yard: Yard, database: Database) -> None:
        self.yard = yard
        self.database = database
        self.shelves = Shelves(database, yard.registries, yard.depot, days=1.0)

    async def version(self, id: str, state: str, content: str, *, days: int = 2) -> str:
        """A version that got as far as naming its image, which has that content; its digest."""
        await made.submitted(self.database, DEFINITION, version=id)
        image = await self.yard.image(content)
        await self.yard.push(image, self.yard.said(image.digest, None))
        await self.yard.depot.tag(self.yard.into, image.digest, tag_of(id, "greet"))
        await self.database.execute(
            "UPDATE versions SET state = $2::version_state, images = $3,"
            " changed_at = now() - make_interval(days => $4) WHERE id = $1",
            id,
            state,
            {"greet": image.digest} if state == "ready" else {},
            days,
        )
        return image.digest

    async def there(self, digest: str) -> bool:
        return await self.yard.registries.has(self.yard.into, digest, "manifest")

    async def tags(self) -> set[str]:
        return set(await self.yard.registries.tags(self.yard.into))


@pytest.fixture
async def place(database: Database, tmp_path: Path) -> AsyncIterator[Place]:
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        yield Place(yard(registries, tmp_path, address), database)


async def test_an_image_that_only_a_failed_version_has_goes_with_what_is_said_about_it(
    place: Place,
) -> None:
    kept = await place.version("v1", "ready", "one")
    lost = await place.version("v2", "failed", "two")
    said = await place.yard.registries.referrers(place.yard.into, lost)
    assert said
    assert await place.shelves.clear() == Cleared(images=1)
    assert await place.there(kept)
    assert not await place.there(lost)
    assert not [one for one in said if await place.there(one.digest)]
    assert {tag for tag in await place.tags() if tag.startswith("v")} == {"v1-greet"}
    assert await place.shelves.clear() == Cleared()


async def over(place: Place, version: str, state: str = "purged", *, days: int = 2) -> None:
    await place.database.execute(
        "UPDATE jobs SET state = $2, changed_at = now() - make_interval(days => $3)"
        " WHERE version = $1",
        version,
        state,
        days,
    )


async def test_the_image_of_an_endpoint_of_its_own_goes_once_its_jobs_are_over(
    place: Place,
) -> None:
    kept, lost = [await place.version(f"v{n}", "ready", str(n)) for n in (1, 2)]
    await over(place, "v1", "stopped")
    await over(place, "v2", days=0)
    assert await place.shelves.clear() == Cleared()
    await over(place, "v2")
    assert await place.shelves.clear() == Cleared(images=1)
    assert (await place.there(kept), await place.there(lost)) == (True, False)
    await over(place, "v1", "terminated")
    assert await place.shelves.clear() == Cleared(images=1), "the older one is over later"


async def test_an_image_stays_while_one_that_is_not_over_has_it(place: Place) -> None:
    image = await place.version("v1", "ready", "the same")
    assert await place.version("v2", "ready", "the same") == image
    await over(place, "v1")
    assert await place.shelves.clear() == Cleared()
    await over(place, "v2")
    assert (await place.shelves.clear()).images >= 1
    assert not await place.there(image)


async def test_an_image_that_another_version_has_stays(place: Place) -> None:
    image = await place.version("v1", "failed", "the same")
    assert await place.version("v2", "ready", "the same") == image
    assert await place.shelves.clear() == Cleared()
    assert await place.there(image)


async def test_an_image_that_a_build_may_be_about_to_have_stays_until_it_has_ended(
    place: Place,
) -> None:
    image = await place.version("v1", "failed", "one")
    await made.submitted(place.database, DEFINITION, version="v2")
    assert await place.shelves.clear() == Cleared()
    await place.database.execute("UPDATE versions SET state = 'failed' WHERE id = 'v2'")
    assert await place.shelves.clear() == Cleared(images=1)
    assert not await place.there(image)


async def test_what_failed_a_moment_ago_waits(place: Place) -> None:
    await place.version("v1", "failed", "one", days=0)
    assert await place.shelves.clear() == Cleared()


async def test_names_that_are_not_ours_are_left_alone(place: Place) -> None:
    failed = await place.version("v1", "failed", "one")
    foreign = await place.yard.push(await place.yard.image("theirs"))
    body = await place.yard.blobs.read(foreign)
    for tag in ("latest", "v9-greet", "v1"):
        await place.yard.registries.push_manifest(place.yard.into, body, MANIFEST_TYPE, tag)
    assert await place.shelves.clear() == Cleared(images=1)
    assert not await place.there(failed)
    assert {"latest", "v9-greet", "v1"} <= await place.tags()


async def test_an_image_that_is_built_again_is_all_there_again(place: Place) -> None:
    image = await place.version("v1", "failed", "one")
    await place.shelves.clear()
    assert await place.version("v2", "ready", "one") == image
    assert await place.there(image)
    assert await place.yard.registries.referrers(place.yard.into, image)


async def test_a_registry_that_removes_nothing_is_left_as_it_is(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        registry(tmp_path / "registry", delete=False) as address,
        Registries.open() as registries,
    ):
        place = Place(yard(registries, tmp_path, address), database)
        image = await place.version("v1", "failed", "one")
        assert await place.shelves.clear() == Cleared()
        assert await place.there(image)
        assert "stay: " in caplog.text
        caplog.clear()
        assert await place.shelves.clear() == Cleared()  # and is not asked each time
        assert not caplog.text


async def test_a_project_without_a_repository_is_nothing_to_do(place: Place) -> None:
    await made.submitted(place.database, DEFINITION, version="v1")
    await place.database.execute(
        "UPDATE versions SET state = 'failed', changed_at = now() - '2 days'::interval"
    )
    assert await place.shelves.clear() == Cleared()
