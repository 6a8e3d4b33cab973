"""What is known of a model's fields, as people see it."""

from __future__ import annotations

from tests.api.claims import apply, model, preprocessing
from tests.api.conftest import World

NUMBERS = {"kind": "numerical", "rows": 100, "mean": 4.5}


async def test_a_version_without_training_data_has_an_empty_profile(world: World) -> None:
    await apply(world, model())
    said = await world.ask("GET", f"{world.place}/models/claims-model/versions/1/profile")
    assert said.status == 200
    assert said.body == {
        "model": "claims-model",
        "version": "1",
        "training": None,
        "drifted": False,
        "fields": [],
    }


async def test_fields_are_shown_beside_their_training_data(world: World) -> None:
    (change,) = await apply(world, preprocessing())
    for source in ("training", "recent"):
        await world.database.execute(
            "INSERT INTO profiles (version, field, source, hour, sketch, summary)"
            " VALUES ($1, 'inputs.amount', $2, '-infinity', '', $3)",
            change["id"],
            source,
            NUMBERS,
        )
    await world.database.execute(
        "INSERT INTO drifts (version, field, metric, value, threshold, drifted, rows)"
        " VALUES ($1, 'inputs.amount', 'ks', 0.4, 0.1, true, 100)",
        change["id"],
    )
    said = await world.ask("GET", f"{world.place}/models/claims-preprocessing/versions/1/profile")
    assert said.body["drifted"] is True
    (field,) = said.body["fields"]
    assert field["field"] == "inputs.amount"
    assert field["training"] == field["traffic"] == NUMBERS
    assert [(each["metric"], each["value"]) for each in field["distances"]] == [("ks", 0.4)]


async def test_what_is_not_there_has_no_profile(world: World) -> None:
    await apply(world, model())
    for path in ("claims-model/versions/2", "other/versions/1"):
        said = await world.ask("GET", f"{world.place}/models/{path}/profile")
        assert said.status == 404
