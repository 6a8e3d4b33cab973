"""Applying definitions: all or nothing, in the order in which they need one another, and once."""

from __future__ import annotations

import asyncio
import copy
import random
from typing import Any

import pytest

from services.api.context import Context
from tests.api.claims import (
    ALL,
    actions,
    application,
    apply,
    ask,
    configuration,
    model,
    preprocessing,
)
from tests.api.conftest import World, tar

COUNTS = """
SELECT (SELECT count(*) FROM deployments), (SELECT count(*) FROM versions),
       (SELECT count(*) FROM jobs), (SELECT count(*) FROM applications),
       (SELECT count(*) FROM revisions), (SELECT count(*) FROM configurations),
       (SELECT count(*) FROM events)
"""


async def counts(world: World) -> tuple[int, ...]:
    return tuple(await world.database.row(COUNTS) or ())


async def facts(world: World) -> list[str]:
    rows = await world.database.fetch("SELECT type FROM events ORDER BY seq")
    return [row["type"].removeprefix("slipway.").removesuffix(".v1") for row in rows]


async def test_the_claims_example_works_as_it_is_written(world: World) -> None:
    changes = await apply(world, *ALL)
    assert actions(changes) == [
        ("claims", "create", "1"),
        ("claims-preprocessing", "create", "1"),
        ("claims-model", "create", "1"),
        ("claims-model", "update", "2"),
    ]
    assert [change["source"] for change in changes][:2] == ["claims.yaml#1", "claims.yaml#2"]
    jobs = await world.database.fetch("SELECT * FROM jobs ORDER BY seq")
    assert [job["servable"].rsplit("-", 2)[0] for job in jobs] == [
        "claims-preprocessing-1",
        "claims-model-1",
        "claims-model-2",
    ]
    assert {job["application"] for job in jobs} == {changes[0]["id"]}
    assert (await facts(world))[1:] == [
        *["version.submitted"] * 3,
        *["job.submitted"] * 3,
        "application.submitted",
    ]


async def test_applying_again_changes_nothing(world: World) -> None:
    await apply(world, *ALL, configuration())
    before = await counts(world)
    again = await apply(world, *ALL, configuration())
    assert {change["action"] for change in again} == {"unchanged"}
    assert [change["version"] for change in again] == ["1", "1", "1", "2", None]
    assert await counts(world) == before


async def test_a_model_that_changed_is_a_new_version(world: World) -> None:
    await apply(world, model())
    for more in (
        {"metadata": {"depth": 9}},
        {"install-command": "true"},
        {"runtime": "slipway/model-server:1"},
    ):
        (change,) = await apply(world, model(**more))
        assert change["action"] == "update"
    assert change["version"] == "4"
    (change,) = await apply(world, model())
    assert (change["action"], change["version"]) == ("update", "5")


async def test_a_version_that_failed_is_made_anew(world: World) -> None:
    await apply(world, model())
    await world.database.execute("UPDATE versions SET state = 'failed', reason = 'no wheel'")
    (change,) = await apply(world, model())
    assert (change["action"], change["version"]) == ("update", "2")
    said = await ask(world, application(singular={"model": "claims-model:1"}, pipeline=None))
    assert (said.status, said.fields) == (422, ["documents[0].singular.model"])
    assert "could not be built: no wheel" in said.body["errors"][0]["message"]


async def test_an_application_changes_as_little_as_it_can(world: World) -> None:
    await apply(world, *ALL)
    jobs = "SELECT id FROM jobs ORDER BY seq"
    before = [row["id"] for row in await world.database.fetch(jobs)]
    (change,) = await apply(world, application(50))
    assert (change["action"], change["version"]) == ("update", "2")
    assert [row["id"] for row in await world.database.fetch(jobs)] == before
    changes = await apply(world, configuration(container={"env": {"A": "1"}}), application(50))
    assert [change["action"] for change in changes] == ["create", "unchanged"]
    small = {"model": "claims-preprocessing:1", "deployment-configuration": "small"}
    configured = application(50, pipeline=[[small], *application(50)["pipeline"][1:]])
    assert (await apply(world, configured))[0]["version"] == "3"
    assert len(await world.database.fetch(jobs)) == 4
    changes = await apply(world, configuration(container={"env": {"A": "2"}}), configured)
    assert [change["action"] for change in changes] == ["update", "update"]
    assert len(await world.database.fetch(jobs)) == 5


async def test_servables_that_ended_are_not_shared(world: World) -> None:
    await apply(world, *ALL)
    await world.database.execute(
        "UPDATE jobs SET state = 'failed' WHERE servable LIKE 'claims-model-2-%'"
    )
    (change,) = await apply(world, application())
    assert change["action"] == "update"
    assert await world.database.value("SELECT count(*) FROM jobs") == 4
    await world.database.execute("UPDATE applications SET state = 'failed', reason = 'x'")
    (change,) = await apply(world, application())
    assert (change["action"], change["version"]) == ("update", "3")
    row = await world.database.row("SELECT state::text, reason FROM applications")
    assert tuple(row or ()) == ("assembling", "")


async def test_a_dry_run_tells_all_and_changes_nothing(world: World) -> None:
    before = await counts(world)
    dry = await apply(world, *ALL, configuration(), dry_run=True)
    assert await counts(world) == before
    wet = await apply(world, *ALL, configuration())
    assert actions(dry) == actions(wet)
    said = await ask(world, application(name="other", pipeline=[[{"model": "x:1"}]]), dry_run=True)
    assert (said.status, said.fields) == (422, ["documents[0].pipeline[0][0].model"])


async def test_one_that_is_wrong_keeps_all_from_being_applied(world: World) -> None:
    before = await counts(world)
    wrong = application(pipeline=[[{"model": "claims-model:7"}]])
    said = await ask(world, model(), wrong, application(name="b", singular={}, pipeline=None))
    assert (said.status, said.fields) == (422, ["documents[2].singular.model"])
    said = await ask(world, model(), configuration(), wrong)
    assert (said.status, said.fields) == (422, ["documents[2].pipeline[0][0].model"])
    message = said.body["errors"][0]["message"]
    assert message == "claims.yaml#3: claims-model has no version 7; its newest is 1"
    assert await counts(world) == before


async def test_applying_at_the_same_time_numbers_versions_one_by_one(world: World) -> None:
    documents = [model(metadata={"n": number}) for number in range(6)]
    asked = [apply(world, document, singular()) for document in documents]
    found = await asyncio.gather(*asked)
    assert sorted(changes[0]["version"] for changes in found) == ["1", "2", "3", "4", "5", "6"]
    assert sorted(changes[1]["action"] for changes in found) == ["create", *["unchanged"] * 5]
    rows = await world.database.fetch("SELECT revision FROM revisions")
    assert [row["revision"] for row in rows] == [1]


async def test_the_same_document_at_the_same_time_is_one_version(world: World) -> None:
    found = await asyncio.gather(*(apply(world, *ALL) for _ in range(5)))
    created = [change for changes in found for change in changes if change["action"] != "unchanged"]
    assert len(created) == len(ALL)


async def test_a_key_makes_it_once(world: World) -> None:
    await apply(world, model())
    key = {"Idempotency-Key": "k1"}
    changed = model(metadata={"a": "b"})
    first = await ask(world, changed, headers=key)
    await apply(world, model())
    again = await ask(world, changed, headers=key)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await world.database.value("SELECT count(*) FROM versions") == 3


async def test_names_of_applications_are_unique_on_the_platform(world: World) -> None:
    await apply(world, *ALL)
    theirs = {"as_": "bob", "place": "/v1/projects/bob/barn"}
    said = await ask(world, *ALL, **theirs)
    assert (said.status, said.problem) == (409, "name-taken")
    assert await world.database.value("SELECT count(*) FROM versions") == 3
    assert (await world.ask("DELETE", f"{world.place}/applications/claims")).status == 204
    assert (await ask(world, *ALL, **theirs)).status == 200


async def test_models_of_others_are_not_there(world: World) -> None:
    await apply(world, model())
    alone = application(name="mine", singular={"model": "claims-model:1"}, pipeline=None)
    said = await ask(world, alone, as_="bob", place="/v1/projects/bob/barn")
    assert (said.status, said.fields) == (422, ["documents[0].singular.model"])
    assert "this project has no model 'claims-model'" in said.body["errors"][0]["message"]


async def test_stages_must_fit(world: World) -> None:
    other = model(
        name="other",
        contract={
            "name": "predict",
            "inputs": {"features": {"shape": [-1, 4], "type": "float32"}, "more": {"type": "int8"}},
            "outputs": {"risk": {"type": "string"}},
        },
    )
    late = model(name="late", contract=model()["contract"] | {"name": "other"})
    await apply(world, preprocessing(), model(), other, late)
    first = [{"model": "claims-preprocessing:1"}]
    for second, messages in (
        (
            [{"model": "other:1"}],
            ["features has the shape [-1, 3], and [-1, 4] is taken", "more is not among features"],
        ),
        (
            [{"model": "claims-model:1", "weight": 50}, {"model": "other:1", "weight": 50}],
            [
                "inputs.features has the shapes [-1, 3] and [-1, 4]",
                "outputs.risk is float64 and string",
                "features has the shape [-1, 3], and [-1, 4] is taken",
                "more is not among features",
            ],
        ),
        (
            [{"model": "claims-model:1", "weight": 50}, {"model": "late:1", "weight": 50}],
            ["their signatures are predict and other"],
        ),
    ):
        said = await ask(world, application(pipeline=[first, second]))
        assert (said.status, set(said.fields)) == (422, {"documents[0].pipeline[1]"}), said
        told = [error["message"] for error in said.body["errors"]]
        assert [message in each for message, each in zip(messages, told, strict=True)] == [
            True
        ] * len(messages), told


async def test_a_shadow_gives_nothing_to_the_next_stage(world: World) -> None:
    odd = model(
        name="odd",
        contract={
            "name": "predict",
            "inputs": {"amount": {"type": "double"}},
            "outputs": {"z": {"type": "int8"}},
        },
    )
    await apply(world, preprocessing(), model(), odd)
    stage = [{"model": "claims-preprocessing:1", "weight": 100}, {"model": "odd:1", "weight": 0}]
    (change,) = await apply(world, application(pipeline=[stage, [{"model": "claims-model:1"}]]))
    assert change["action"] == "create"


async def test_runtimes_of_others_need_images(world: World) -> None:
    said = await ask(world, model(runtime="ann/own:1"))
    assert (said.status, said.fields) == (422, ["documents[0].runtime"])
    assert "the target process runs no images of others" in said.body["errors"][0]["message"]
    (change,) = await apply(world, model(runtime="ann/own:1"), target="far")
    assert change["version"] == "1"


async def test_what_is_on_one_target_stays_there(world: World) -> None:
    await apply(world, *ALL)
    for documents in ((model(),), (application(),)):
        said = await ask(world, *documents, target="far")
        assert (said.status, said.fields[0]) == (422, "target"), said
    await apply(world, model(name="elsewhere"), target="far")
    mixed = [{"model": "claims-model:1", "weight": 50}, {"model": "elsewhere:1", "weight": 50}]
    said = await ask(world, application(name="mixed", pipeline=[mixed]))
    assert (said.status, said.fields) == (422, ["documents[0].pipeline[0][1].model"])
    alone = application(name="over-there", singular={"model": "elsewhere:1"}, pipeline=None)
    assert (await apply(world, alone))[0]["action"] == "create"
    row = await world.database.row("SELECT target FROM applications WHERE name = 'over-there'")
    assert row is not None
    assert row["target"] == "far"
    assert (await ask(world, model(), target="moon")).fields == ["target"]


def singular(**more: Any) -> dict[str, Any]:
    return application(singular={"model": "claims-model:1"} | more, pipeline=None)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"hpa": {"maxReplicas": 2}}, "hpa"),
        ({"deployment": {"replicaCount": 2}}, "deployment.replicaCount"),
        ({"deployment": {"replicaCount": 0}}, "deployment.replicaCount"),
        ({"pod": {"nodeSelector": {"disk": "ssd"}}}, "pod.nodeSelector"),
        (
            {"container": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
            "container.resources.limits.nvidia.com/gpu",
        ),
    ],
)
async def test_what_a_target_cannot_do_is_said(
    world: World, more: dict[str, Any], field: str
) -> None:
    await apply(world, model())
    used = singular(**{"deployment-configuration": "small"})
    said = await ask(world, configuration(**more), used)
    assert (said.status, said.fields) == (422, [f"documents[0].{field}"])
    await apply(world, configuration(**more))
    said = await ask(world, used)
    assert said.fields == ["documents[0].singular.deployment-configuration"]
    assert f"small, {field}: " in said.body["errors"][0]["message"]


async def test_advice_that_a_target_leaves_out_is_noted(world: World) -> None:
    said = {
        "container": {"resources": {"limits": {"cpu": 1}}},
        "pod": {"tolerations": [{"operator": "Exists"}]},
    }
    small, _, used = await apply(
        world,
        configuration(**said),
        model(),
        singular(**{"deployment-configuration": "small"}),
    )
    assert [note.partition(":")[0] for note in small["notes"]] == [
        "pod.tolerations",
        "container.resources.limits.cpu",
    ]
    assert used["action"] == "create"


async def test_a_cluster_does_it_all(world: World) -> None:
    small = configuration(
        hpa={"minReplicas": 2, "maxReplicas": 3}, pod={"nodeSelector": {"disk": "ssd"}}
    )
    used = singular(**{"deployment-configuration": "small"})
    await apply(world, small, model(runtime="ann/own:1"), used, target="far")
    row = await world.database.row("SELECT copies, configuration FROM jobs")
    assert row is not None
    assert row["copies"] == 2
    assert row["configuration"]["node_labels"] == {"disk": "ssd"}


async def test_gpus_are_held_for_each_copy(world: World) -> None:
    await world.gpus(a100=2)
    gpu = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    await apply(
        world,
        configuration(container=gpu),
        model(),
        singular(**{"deployment-configuration": "small"}),
    )
    assert await world.database.value("SELECT gpu_count FROM jobs") == 1
    said = await ask(world, configuration(container=gpu, hpa={"maxReplicas": 1}), singular(**{"deployment-configuration": "small"}))  # fmt: skip
    assert (said.status, said.fields) == (422, ["documents[0].hpa"])


async def test_uploads_are_checked(world: World) -> None:
    foreign = await world.upload(b"bobs", as_="bob", place="/v1/projects/bob/barn")
    junk = await world.upload(b"junk")
    path = f"{world.place}/resources"
    local = model(**{"training-data": "train.csv"})
    for sent, field in (
        ({"document": model()}, "documents[0].payload"),
        ({"document": model(), "payload": foreign}, "documents[0].payload"),
        ({"document": model(), "payload": junk}, "documents[0].payload"),
        ({"document": model(), "payload": "x"}, "documents[0].payload"),
        ({"document": local, "payload": await world.upload(tar({}))}, "documents[0].training"),
        ({"document": model(payload=None), "training": foreign}, "documents[0].training"),
    ):
        said = await world.ask("POST", path, {"documents": [sent]})
        assert (said.status, said.fields) == (422, [field]), said
    assert await world.database.value("SELECT count(*) FROM versions") == 0
    train = await world.upload(b"amount,risk\n1,0\n")
    body = {"documents": [{"document": model(payload=None), "training": train}]}
    assert (await world.ask("POST", path, body)).status == 200
    row = await world.database.row("SELECT definition FROM versions")
    assert row is not None
    assert row["definition"]["training"] == {"digest": train}


async def test_an_owner_has_so_many_builds(world: World, context: Context) -> None:
    context.builds_per_owner = 1
    said = await ask(world, *ALL)
    assert (said.status, said.problem) == (429, "queue-full")
    assert await world.database.value("SELECT count(*) FROM versions") == 0


async def test_a_request_is_bounded(world: World) -> None:
    assert (await ask(world)).fields == ["documents"]
    assert (await ask(world, *[configuration()] * 101)).fields == ["documents"]
    stage = [{"model": "m:1", "weight": 5}] * 20
    big = application(pipeline=[stage] * 16)
    assert (await ask(world, big)).fields == ["documents"]


JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 62,
    1.5,
    1e300,
    "",
    "x",
    "claims-model:1",
    "\u202e\U0001f600",
    "a" * 5_000,
    [],
    [[]],
    {},
    {"a": {"b": [None]}},
    ["x", 1, None],
)


def mutated(document: Any, chance: random.Random) -> Any:
    """The document with one or several of its parts changed, dropped, doubled or renamed."""
    made = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 5))):
        places = list(parts(made))
        if not places:
            return chance.choice(JUNK)
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("x", "", "type", "kind", "é" * 300))] = holder.pop(key)
            case 2 if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[key] = copy.deepcopy(chance.choice(JUNK))
    return made


def parts(value: Any) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from parts(inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield value, at
            yield from parts(inner)


WHOLE = configuration(
    hpa={"minReplicas": 1, "maxReplicas": 1, "cpuUtilization": 80},
    deployment={"replicaCount": 1},
    container={
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        "env": {"A": "b"},
    },
    pod={"affinity": {"podAntiAffinity": {}}, "tolerations": [{"key": "a", "operator": "Exists"}]},
)
CONFIGURED = application(name="configured", singular={"model": "claims-model:1", "deployment-configuration": "small"}, pipeline=None)  # fmt: skip


async def test_no_document_whatever_is_an_error_of_ours(world: World) -> None:
    await apply(world, *ALL)
    for seed in range(300):
        chance = random.Random(seed)
        documents = [mutated(each, chance) for each in (WHOLE, model(), application(), CONFIGURED)]
        said = await ask(world, *documents, dry_run=chance.random() < 0.5)
        assert said.status in (200, 422, 409), (seed, said, documents)
        assert len(str(said.body)) < 50_000
