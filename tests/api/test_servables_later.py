"""Servables of versions that are not being built any more."""

from __future__ import annotations

from tests.api.claims import apply, model
from tests.api.conftest import World

BUILT = "UPDATE versions SET state = $1::version_state, reason = 'no wheel'"
FACTS = "SELECT type FROM events WHERE subject = $1 ORDER BY seq"


async def test_one_of_a_version_that_is_built_waits_for_no_builder(world: World) -> None:
    await apply(world, model())
    await world.database.execute(BUILT, "ready")
    made = await world.made(f"{world.place}/servables", {"model": "claims-model:1"})
    assert (made["state"], made["status"]) == ("queued", "Starting")
    facts = [row["type"] for row in await world.database.fetch(FACTS, made["job"])]
    assert [fact.split(".")[-2] for fact in facts] == ["submitted", "queued"]


async def test_one_of_a_version_that_is_being_built_waits_for_it(world: World) -> None:
    await apply(world, model())
    made = await world.made(f"{world.place}/servables", {"model": "claims-model:1"})
    assert made["state"] == "submitted"
