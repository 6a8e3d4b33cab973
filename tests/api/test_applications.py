"""Models, applications and servables, as people see them and what they may do with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.claims import ALL, application, apply, ask, configuration, model
from tests.api.conftest import ROUTER, World


async def get(world: World, path: str) -> Any:
    said = await world.ask("GET", f"{world.place}/{path}")
    assert said.status == 200, said
    return said.body


async def test_models_and_their_versions_are_shown(world: World) -> None:
    await apply(world, *ALL)
    models = (await get(world, "models"))["items"]
    assert [(each["name"], each["versions"], each["newest"]) for each in models] == [
        ("claims-model", 2, "2"),
        ("claims-preprocessing", 1, "1"),
    ]
    assert models[0]["status"] == "Assembling"
    assert (await get(world, "models/claims-model"))["id"] == models[0]["id"]
    versions = (await get(world, "models/claims-model/versions"))["items"]
    assert [each["name"] for each in versions] == ["2", "1"]
    version = await get(world, "models/claims-model/versions/1")
    assert version["contract"]["signature"] == "predict"
    assert version["contract"]["inputs"][0] == {
        "name": "features",
        "dtype": "float32",
        "shape": [-1, 3],
    }
    assert version["runtime"].startswith("hydrosphere/")
    assert (version["server"], version["calls"]) == ("platform", "arrays")
    assert version["metadata"] == {"depth": "5"}
    await world.database.execute("UPDATE versions SET state = 'ready'")
    assert (await get(world, "models/claims-model/versions/1"))["status"] == "Released"
    await world.database.execute("UPDATE versions SET state = 'failed', reason = 'x'")
    assert (await get(world, "models/claims-model/versions/1"))["status"] == "Failed"
    assert (await get(world, "models/claims-model"))["status"] == "Failed"
    for path in ("models/x", "models/x/versions", "models/claims-model/versions/3", "models/mnist"):
        assert (await world.ask("GET", f"{world.place}/{path}")).status == 404


async def test_the_log_of_a_build_is_shown(world: World) -> None:
    (change,) = await apply(world, model())
    await world.database.execute(
        "INSERT INTO logs (subject, attempt, line, at, stream, text)"
        " VALUES ($1, 1, 1, now(), 'platform', 'hello')",
        change["id"],
    )
    log = await get(world, "models/claims-model/versions/1/logs")
    assert [line["text"] for line in log["items"]] == ["hello"]


async def test_a_build_is_cancelled_with_what_waits_for_it(world: World) -> None:
    await apply(world, model())
    made = await world.made(f"{world.place}/servables", {"model": "claims-model:1"})
    path = f"{world.place}/models/claims-model/versions/1/cancel"
    for _ in range(2):
        said = await world.ask("POST", path)
        assert (said.status, said.body["status"], said.body["reason"]) == (
            200,
            "Failed",
            "cancelled",
        )
    assert (await get(world, f"servables/{made['name']}"))["state"] == "failed"
    await apply(world, model())
    await world.database.execute("UPDATE versions SET state = 'ready' WHERE name = '2'")
    said = await world.ask("POST", path.replace("/1/", "/2/"))
    assert (said.status, said.problem) == (409, "version-state")


async def test_a_servable_is_scaled_as_its_configuration_lets_it(world: World) -> None:
    many = configuration(name="many", hpa={"minReplicas": 2, "maxReplicas": 4})
    two = configuration(name="two", deployment={"replicaCount": 2})
    await apply(world, many, two, model(), target="far")
    for name, status in (("many", 409), ("two", 200)):
        wish = {"model": "claims-model:1", "configuration": name}
        made = await world.made(f"{world.place}/servables", wish)
        assert made["copies"] == 2
        said = await world.ask("POST", f"/v1/jobs/{made['job']}/scale", {"copies": 3})
        assert said.status == status, said


async def test_a_model_is_not_a_deployment(world: World) -> None:
    await apply(world, model(name="mnist"))
    deployments = (await get(world, "deployments"))["items"]
    assert [each["name"] for each in deployments] == ["mnist"]
    assert (await get(world, "deployments/mnist/versions"))["items"] == []
    await apply(world, model())
    path = f"{world.place}/deployments/claims-model"
    for said in (
        await world.ask("GET", path),
        await world.ask("GET", f"{path}/versions/1"),
        await world.ask("PUT", f"{path}/aliases/live", {"version": "1"}),
        await world.ask("POST", f"{path}/versions", await world.wish()),
    ):
        assert said.status == 404


@pytest.mark.parametrize("kind", ["models", "applications", "configurations", "servables"])
async def test_what_there_is_not_is_named(world: World, kind: str) -> None:
    said = await world.ask("GET", f"{world.place}/{kind}/nothing")
    assert (said.status, said.body["detail"]) == (404, "nothing")


async def test_a_version_that_an_application_leaves_out_is_noted(world: World) -> None:
    await apply(world, *ALL)
    (again,) = await apply(world, application())
    assert (again["action"], again["notes"]) == ("unchanged", [])
    changed = next(one for one in ALL if one["kind"] == "Model") | {"metadata": {"round": "next"}}
    made, kept = await apply(world, changed, application())
    said = f"{made['name']} has a newer version, {made['version']}, not named here"
    assert (kept["action"], kept["notes"]) == ("unchanged", [said])


async def test_an_application_is_shown_with_what_serves_it(world: World) -> None:
    await apply(world, *ALL)
    shown = await get(world, "applications/claims")
    assert (shown["state"], shown["status"], shown["live"]) == ("assembling", "Assembling", None)
    assert shown["url"] == f"{ROUTER}/gateway/application/claims"
    stages = shown["newest"]["stages"]
    assert [[(v["model"], v["version"], v["weight"]) for v in stage] for stage in stages] == [
        [("claims-preprocessing", "1", 100)],
        [("claims-model", "1", 80), ("claims-model", "2", 20)],
    ]
    assert stages[1][0]["servable"].startswith("claims-model-1-")
    assert (stages[1][0]["state"], stages[1][0]["status"]) == ("submitted", "Starting")
    signature = shown["signature"]
    assert signature["signature"] == "INFERRED_PIPELINE_SIGNATURE"
    assert [field["name"] for field in signature["inputs"]] == ["amount", "kind"]
    assert [field["name"] for field in signature["outputs"]] == ["risk"]
    assert shown["document"] == application()
    await world.database.execute("UPDATE applications SET live = 1, state = 'ready'")
    await apply(world, application(50))
    shown = await get(world, "applications/claims")
    assert (shown["live"]["revision"], shown["newest"]["revision"]) == (1, 2)
    assert [v["weight"] for v in shown["live"]["stages"][1]] == [80, 20]
    assert [v["weight"] for v in shown["newest"]["stages"][1]] == [50, 50]
    (listed,) = (await get(world, "applications"))["items"]
    assert (listed["revision"], listed["live"]) == (2, 1)
    assert listed["models"] == [["claims-preprocessing:1"], ["claims-model:1", "claims-model:2"]]


async def test_an_application_of_one_stage_has_its_models_signature(world: World) -> None:
    await apply(world, model(), application(singular={"model": "claims-model:1"}, pipeline=None))
    shown = await get(world, "applications/claims")
    assert shown["signature"]["signature"] == "predict"


async def test_a_sample_is_made_of_the_contract(world: World) -> None:
    inputs = {
        "a": {"type": "int8", "shape": [-1, 2]},
        "b": {"type": "double", "shape": "scalar"},
        "c": {"type": "string"},
        "d": {"type": "bool", "shape": [1]},
        "e": {"fields": {"f": {"type": "uint64", "shape": [2]}}},
        "g": {"type": "complex64", "shape": [2]},
    }
    contract = {"inputs": inputs, "outputs": {"y": {"type": "int8"}}}
    await apply(
        world,
        model(contract=contract),
        application(singular={"model": "claims-model:1"}, pipeline=None),
    )
    wanted = {
        "a": [[1, 1]],
        "b": 1.0,
        "c": "foo",
        "d": [True],
        "e": {"f": [1, 1]},
        "g": [1.0, 0.0, 1.0, 0.0],
    }
    assert await get(world, "applications/claims/generate-inputs") == wanted
    servable = (await get(world, "servables"))["items"][0]["name"]
    assert await get(world, f"servables/{servable}/generate-inputs") == wanted


async def test_a_sample_that_nobody_could_send_is_refused(world: World) -> None:
    inputs = {"x": {"type": "int8", "shape": [1 << 20, 1 << 20]}}
    contract = {"inputs": inputs, "outputs": {"y": {"type": "int8"}}}
    alone = application(singular={"model": "claims-model:1"}, pipeline=None)
    await apply(world, model(contract=contract), alone)
    said = await world.ask("GET", f"{world.place}/applications/claims/generate-inputs")
    assert (said.status, said.problem) == (409, "sample-too-large")


async def test_a_removed_application_is_gone_and_its_name_free(world: World) -> None:
    await apply(world, *ALL)
    path = f"{world.place}/applications/claims"
    assert (await world.ask("DELETE", path)).status == 204
    assert (await world.ask("DELETE", path)).status == 404
    assert (await world.ask("GET", path)).status == 404
    assert (await get(world, "applications"))["items"] == []
    last = await world.database.row("SELECT type, data FROM events ORDER BY seq DESC LIMIT 1")
    assert last is not None
    assert last["type"] == "slipway.application.removed.v1"
    assert last["data"]["name"] == "claims"
    assert (await apply(world, application()))[0]["action"] == "create"


async def test_jobs_of_an_application_are_left_to_it(world: World) -> None:
    await apply(world, *ALL)
    job = await world.database.value("SELECT id FROM jobs LIMIT 1")
    for verb in ("stop", "restart", "terminate", "scale"):
        body = {"copies": 1} if verb == "scale" else None
        said = await world.ask("POST", f"/v1/jobs/{job}/{verb}", body)
        assert (said.status, said.problem) == (409, "application-job"), verb
        assert "claims" in said.body["detail"]
    assert (await world.ask("DELETE", f"{world.place}/applications/claims")).status == 204
    assert (await world.ask("POST", f"/v1/jobs/{job}/stop")).status == 200


async def test_a_servable_answers_by_itself(world: World) -> None:
    await apply(world, model(), configuration(container={"env": {"A": "1"}}))
    wish = {"model": "claims-model:1", "configuration": "small"}
    made = await world.made(f"{world.place}/servables", wish)
    assert made["name"].startswith("claims-model-1-")
    assert (made["application"], made["status"], made["url"]) == (None, "Starting", None)
    assert made["settings"]["variables"] == {"A": "1"}
    await world.put_state(made["job"], "running")
    shown = await get(world, f"servables/{made['name']}")
    assert shown["status"] == "NotAvailable"
    await world.database.execute("UPDATE jobs SET addresses = '{127.0.0.1:1}'")
    shown = await get(world, f"servables/{made['name']}")
    assert (shown["status"], shown["url"]) == (
        "Serving",
        f"{ROUTER}/gateway/servable/{made['name']}",
    )
    job = (await world.ask("GET", f"/v1/jobs/{made['job']}")).body
    assert (job["servable"], job["model"], job["deployment"]) == (
        made["name"],
        "claims-model",
        None,
    )
    assert job["url"] == shown["url"]
    called = (await world.ask("GET", f"/v1/jobs/{made['job']}/connection")).body
    assert '"features":[[1.0,1.0,1.0]]' in called["example"]
    assert (await world.ask("POST", f"/v1/jobs/{made['job']}/stop")).body["state"] == "stopping"


async def test_giving_up_a_servable_leaves_its_version_alone(world: World) -> None:
    await apply(world, model())
    made = await world.made(f"{world.place}/servables", {"model": "claims-model:1"})
    await world.put_state(made["job"], "stopped", "building")
    assert (await world.ask("POST", f"/v1/jobs/{made['job']}/terminate")).status == 200
    assert (await get(world, "models/claims-model"))["state"] == "building"
    assert (await get(world, "servables"))["items"] == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"model": "claims-model"}, "model"),
        ({"model": "claims-model:9"}, "model"),
        ({"model": "none:1"}, "model"),
        ({"model": "claims-model:1", "configuration": "none"}, "configuration"),
        ({"model": "claims-model:1", "configuration": "many"}, "configuration"),
        ({}, "model"),
    ],
)
async def test_a_servable_that_cannot_be_is_refused(
    world: World, wish: dict[str, str], field: str
) -> None:
    await apply(world, model(), configuration(name="many", deployment={"replicaCount": 3}))
    said = await world.ask("POST", f"{world.place}/servables", wish)
    assert (said.status, said.fields) == (422, [field])


async def test_configurations_are_shown_and_removed(world: World) -> None:
    written = configuration(hpa={"maxReplicas": 2})
    await apply(world, written)
    (listed,) = (await get(world, "configurations"))["items"]
    assert listed == await get(world, "configurations/small")
    assert listed["document"] == written
    assert listed["settings"]["autoscaling"] == {"max": 2}
    path = f"{world.place}/configurations/small"
    assert (await world.ask("DELETE", path)).status == 204
    assert (await world.ask("DELETE", path)).status == 404
    assert (await apply(world, written))[0]["action"] == "create"


async def test_names_may_begin_with_what_rules_allow(world: World) -> None:
    alone = application(name="_My-App", singular={"model": "-m_1:1"}, pipeline=None)
    await apply(world, model(name="-m_1"), alone)
    assert (await get(world, "models/-m_1"))["name"] == "-m_1"
    shown = await get(world, "applications/_My-App")
    assert shown["newest"]["stages"][0][0]["servable"].startswith("-m-1-1-")


async def test_lists_come_in_pages(world: World) -> None:
    for number in range(3):
        await apply(
            world,
            model(name=f"m{number}"),
            configuration(name=f"c{number}"),
            application(name=f"a{number}", singular={"model": f"m{number}:1"}, pipeline=None),
        )
    await apply(world, *(model(metadata={"n": number}) for number in range(3)))
    for path in (
        "models",
        "applications",
        "configurations",
        "servables",
        "models/claims-model/versions",
    ):
        first = await get(world, f"{path}?limit=2")
        rest = await get(world, f"{path}?limit=2&after={first['next']}")
        names = [each["name"] for each in (*first["items"], *rest["items"])]
        assert len(names) == len(set(names)) >= 3, path


async def test_what_is_odd_is_refused_whole(world: World) -> None:
    said = await ask(world, model(), {"kind": "Model"}, 5)
    assert (said.status, said.problem) == (422, "invalid")
    assert said.fields == [
        "documents[1].name",
        "documents[1].runtime",
        "documents[1].contract",
        "documents[2]",
    ]
