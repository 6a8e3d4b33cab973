"""The manager API as Hydrosphere's own clients call it: what they send, and the keys they read."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, FormData, encode_basic_auth

from services.api.formats.checks import Wrongs
from services.api.formats.hydrosphere import document
from services.api.formats.hydrosphere.runtime import DEFAULT
from services.api.hydrosphere import documents, views
from shared.contract import DTYPES, Contract, Field
from tests.api import claims
from tests.api.conftest import Said, World, tar

SCALAR: dict[str, Any] = {"dim": [], "unknownRank": False}
UPLOAD: dict[str, Any] = {
    "name": "claims-model",
    "runtime": {"name": "hydrosphere/serving-runtime-python-3.7", "tag": "2.3.2", "sha256": None},
    "contract": {
        "modelName": "claims-model",
        "predict": {
            "signatureName": "predict",
            "inputs": [
                {"name": "x", "profile": "NUMERICAL", "shape": SCALAR, "dtype": "DT_DOUBLE"},
                {
                    "name": "m",
                    "profile": "NONE",
                    "shape": {"dim": [{"size": -1, "name": ""}], "unknownRank": False},
                    "dtype": "DT_INT64",
                },
            ],
            "outputs": [{"name": "y", "profile": "NONE", "shape": SCALAR, "dtype": "DT_FLOAT"}],
        },
    },
    "installCommand": "true",
    "metadata": {"a": "b"},
    "monitoring_configuration": {"batch_size": 100},
}


async def ask(
    world: World,
    method: str,
    path: str,
    json: Any = None,
    *,
    user: str = "house",
    as_: str = "ann",
    data: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Said:
    url = f"http://127.0.0.1:{world.port}{path}"
    login = encode_basic_auth(user, world.tokens[as_])
    sent = {"Authorization": login, **(headers or {})}
    async with world.session.request(method, url, json=json, data=data, headers=sent) as answer:
        raw = await answer.read()
        told = raw and "json" in answer.content_type
        return Said(answer.status, msgspec.json.decode(raw) if told else raw, answer.headers)


async def get(world: World, path: str) -> Any:
    said = await ask(world, "GET", f"/api/v2/{path}")
    assert said.status == 200, said
    return said.body


async def upload(world: World, **more: Any) -> Said:
    form = FormData()
    form.add_field("payload", tar(claims.CODE), filename="filename")
    form.add_field("metadata", msgspec.json.encode(UPLOAD | more).decode())
    return await ask(world, "POST", "/api/v2/model/upload", data=form)


async def uploaded(world: World, **more: Any) -> Any:
    said = await upload(world, **more)
    assert said.status == 200, said
    return said.body


def graph(*stages: list[tuple[int, int]]) -> dict[str, Any]:
    variants = [[{"modelVersionId": n, "weight": w} for n, w in stage] for stage in stages]
    return {"stages": [{"modelVariants": stage} for stage in variants]}


def application(execution: Any, **more: Any) -> dict[str, Any]:
    return {"name": "claims", "kafkaStreaming": [], "executionGraph": execution, "metadata": {"k": "v"}} | more  # fmt: skip


async def test_a_model_is_uploaded_as_the_client_packs_it(world: World) -> None:
    made = await uploaded(world)
    assert made["model"]["name"] == "claims-model"
    assert (made["modelVersion"], made["status"], made["isExternal"]) == (1, "Assembling", False)
    assert made["runtime"] == {"name": UPLOAD["runtime"]["name"], "tag": "2.3.2", "sha256": None}
    assert made["metadata"] == {"a": "b"}
    assert made["monitoringConfiguration"] == {"batchSize": 100}
    predict = made["modelContract"]["predict"]
    assert predict["signatureName"] == "predict"
    assert predict["inputs"][0] == {
        "name": "x",
        "profile": "NUMERICAL",
        "shape": SCALAR,
        "dtype": "DT_DOUBLE",
    }
    assert await get(world, "model/version/claims-model/1") == made
    assert await get(world, "model/version") == [made]
    assert [each["name"] for each in await get(world, "model")] == ["claims-model"]
    await world.database.execute("UPDATE versions SET state = 'ready'")
    assert (await get(world, "model/version/claims-model/1"))["status"] == "Released"


async def test_an_application_is_made_changed_and_removed(world: World) -> None:
    first = (await uploaded(world))["id"]
    second = (await uploaded(world, metadata={"a": "c"}))["id"]
    path = "/api/v2/application"
    said = await ask(world, "POST", path, application(graph([(first, 80), (second, 20)])))
    assert said.status == 200, said
    made = said.body
    assert (made["name"], made["status"], made["metadata"]) == ("claims", "Assembling", {"k": "v"})
    assert made["kafkaStreaming"] == []
    assert made["signature"]["signatureName"] == "predict"
    (stage,) = made["executionGraph"]["stages"]
    assert [(v["modelVersion"]["id"], v["weight"]) for v in stage["modelVariants"]] == [
        (first, 80),
        (second, 20),
    ]
    assert stage["signature"]["inputs"][0]["name"] == "x"
    assert await get(world, "application/claims") == made
    assert await get(world, "application") == [made]
    assert await get(world, "application/generateInputs/claims") == {"x": 1.0, "m": [1]}
    again = await ask(world, "POST", path, application(graph([(first, 100)])))
    assert (again.status, again.body["error"]) == (400, "BadRequest")
    put = await ask(world, "PUT", path, application(graph([(first, 7)])))
    assert [v["weight"] for v in put.body["executionGraph"]["stages"][0]["modelVariants"]] == [100]
    assert (await ask(world, "DELETE", f"{path}/claims")).status == 200
    gone = await ask(world, "GET", f"{path}/claims")
    assert (gone.status, gone.body) == (
        404,
        {"error": "NotFound", "message": "No such application"},
    )


async def test_configurations_and_servables(world: World) -> None:
    await uploaded(world)
    wish = {"name": "small", "hpa": None, "container": {"resources": None, "env": {"A": "b"}}}
    said = await ask(world, "POST", "/api/v2/deployment_configuration", wish)
    assert said.status == 200, said
    assert said.body == {
        "name": "small",
        "hpa": None,
        "pod": None,
        "container": wish["container"],
        "deployment": None,
    }
    assert await get(world, "deployment_configuration/small") == said.body
    asked = {"modelName": "claims-model", "version": 1, "deploymentConfigName": "small"}
    made = (await ask(world, "POST", "/api/v2/servable", asked)).body
    assert made["fullName"].startswith("claims-model-1-")
    assert made["status"] == {"status": "Starting", "msg": ""}
    assert made["modelVersion"]["modelVersion"] == 1
    assert await get(world, f"servable/{made['fullName']}") == made
    assert await get(world, "servable") == [made]
    assert (await ask(world, "DELETE", f"/api/v2/servable/{made['fullName']}")).status == 200
    assert (await get(world, "servable"))[0]["status"]["status"] == "NotServing"
    assert (await ask(world, "DELETE", "/api/v2/deployment_configuration/small")).status == 200
    assert await get(world, "deployment_configuration") == []


async def test_a_client_needs_a_token_and_a_project(world: World) -> None:
    for service in ("api", "gateway", "monitoring"):
        assert (await ask(world, "GET", f"/{service}/buildinfo")).body["status"] == "Ok"
    for user in ("house", "ann/house", ""):
        assert (await ask(world, "GET", "/api/v2/model", user=user)).status == 200
    for user in ("barn", "bob/barn", "x/y", "nothing"):
        assert (await ask(world, "GET", "/api/v2/model", user=user)).status == 404
    assert (await ask(world, "GET", "/api/v2/model", as_="bob")).status == 404
    refused = await ask(world, "POST", "/api/v2/servable", {}, as_="reader")
    assert (refused.status, refused.body["error"]) == (403, "Forbidden")
    from_a_page = await ask(world, "GET", "/api/v2/model", headers={"Origin": "http://a.example"})
    assert (from_a_page.status, from_a_page.body["error"]) == (403, "Forbidden")
    assert (await ask(world, "GET", "/v1/whoami")).status == 401
    world.tokens["garbage"] = "x"
    refused = await ask(world, "GET", "/api/v2/model", as_="garbage")
    assert (refused.status, refused.body["error"]) == (401, "Unauthorized")
    plain = {"Authorization": f"Bearer {world.tokens['ann']}"}
    assert (await ask(world, "GET", "/api/v2/model", headers=plain)).status == 200
    await world.made("/v1/projects", {"name": "second"})
    said = await ask(world, "GET", "/api/v2/model", headers=plain)
    assert (said.status, "not named" in said.body["message"]) == (400, True)


@pytest.mark.parametrize(
    "more",
    [
        {"name": "A"},
        {"runtime": None},
        {"runtime": {"name": 5}},
        {"contract": None},
        {"contract": {"predict": {"inputs": {}, "outputs": []}}},
        {"contract": {"predict": {"inputs": [{"name": "x", "dtype": "DT_ODD"}], "outputs": []}}},
        {"contract": {"predict": {"inputs": [{"name": 3}], "outputs": [5]}}},
        {"installCommand": 5},
        {"metadata": [1]},
    ],
)
async def test_uploads_that_are_wrong_are_refused(world: World, more: dict[str, Any]) -> None:
    said = await upload(world, **more)
    assert (said.status, said.body["error"]) == (400, "BadRequest"), said
    assert await world.database.value("SELECT count(*) FROM versions") == 0


async def test_forms_that_are_wrong_are_refused(world: World) -> None:
    path = "/api/v2/model/upload"
    assert (await ask(world, "POST", path, {"a": 1})).status == 415
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    for raw in (
        b"",
        b"--b--\r\n",
        b"junk",
        b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"a"\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="payload"\r\n\r\nnot a tar\r\n--b--\r\n',
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n",
    ):
        said = await ask(world, "POST", path, data=raw, headers=kind)
        assert said.status == 400, (raw, said)
    large = FormData()
    large.add_field("payload", io.BytesIO(b"x" * ((1 << 20) + 1)), filename="f")
    assert (await ask(world, "POST", path, data=large)).status == 413


async def test_applications_that_are_wrong_are_refused(world: World) -> None:
    number = (await uploaded(world))["id"]
    for body in (
        5,
        {},
        application(None),
        application({"stages": {}}),
        application({"stages": [5]}),
        application({"stages": [{"modelVariants": 5}]}),
        application({"stages": [{"modelVariants": [5]}]}),
        application(graph([(number + 1, 100)])),
        application(graph([(1 << 62, 100)])),
        application(graph([(number, 50), (number, 51)])),
        application(graph([(number, 100)]), kafkaStreaming=[{"in-topic": "a"}]),
        application(graph([(number, 100)]), name="a b"),
        application(graph([(number, 100)]), name=None),
    ):
        said = await ask(world, "POST", "/api/v2/application", body)
        assert (said.status, said.body["error"]) == (400, "BadRequest"), (body, said)
    for body in (5, {}, {"modelName": "x", "version": 1}, {"modelName": "claims-model"}):
        assert (await ask(world, "POST", "/api/v2/servable", body)).status == 400
    for path in ("model/version/x/1", "servable/x", "servable/x/logs", "model/version/0/logs"):
        assert (await ask(world, "GET", f"/api/v2/{path}")).status == 404


async def test_training_data_comes_after_its_model(world: World) -> None:
    number = (await uploaded(world))["id"]
    path = f"/monitoring/profiles/batch/{number}"
    assert (await ask(world, "GET", f"{path}/status")).body == {"kind": "NotRegistered"}
    assert (await ask(world, "POST", f"{path}/s3", {"path": "file:///etc"})).status == 400
    said = await ask(world, "POST", path, data=b"x,m\n1,2\n")
    assert (said.status, said.body) == (200, "ok"), said
    assert (await ask(world, "POST", path, data=b"x,m\n1,2\n")).status == 200
    assert (await ask(world, "POST", path, data=b"x,m\n1,3\n")).status == 400
    assert (await ask(world, "GET", f"{path}/status")).body == {"kind": "Processing"}
    shown = await world.ask("GET", f"{world.place}/models/claims-model/versions/1")
    assert shown.body["training"]["digest"].startswith("sha256:")
    other = (await uploaded(world, metadata={"n": "2"}))["id"]
    path = f"/monitoring/profiles/batch/{other}"
    assert (await ask(world, "POST", path, {"path": "s3://bucket/a.csv"})).status == 200
    await world.database.execute(
        "INSERT INTO trainings (version, state) SELECT id, 'ready' FROM versions WHERE seq = $1",
        other,
    )
    assert (await ask(world, "GET", f"{path}/status")).body == {"kind": "Success"}
    assert (await ask(world, "POST", "/monitoring/profiles/batch/0", data=b"x")).status == 404


async def told(answer: ClientResponse) -> tuple[str, str]:
    """The next event and its data."""
    name, data = "", ""
    async with asyncio.timeout(20):
        while True:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if not line and name:
                return name, data
            key, _, value = line.partition(": ")
            name = value if key == "event" else name
            data = value if key == "data" else data


async def test_the_log_of_a_build_is_streamed_to_its_end(world: World) -> None:
    made = await uploaded(world)
    await world.database.execute(
        "INSERT INTO logs (subject, attempt, line, at, stream, text)"
        " SELECT id, 1, 1, now(), 'stdout', 'hello' FROM versions"
    )
    await world.database.execute("UPDATE versions SET state = 'ready'")
    said = await ask(world, "GET", f"/api/v2/model/version/{made['id']}/logs")
    assert said.headers["Content-Type"].startswith("text/event-stream")
    assert said.body.decode() == (
        "id: 1.1\nevent: Log\ndata: hello\n\nevent: EndOfStream\ndata: \n\n"
    )


async def test_events_tell_of_what_changed(world: World) -> None:
    await world.database.execute("UPDATE events SET position = seq")
    url = f"http://127.0.0.1:{world.port}/api/v2/events"
    login = {"Authorization": encode_basic_auth("house", world.tokens["ann"])}
    async with world.session.get(url, headers=login) as answer:
        made = await uploaded(world)
        version = await world.database.value("SELECT id FROM versions")
        await world.database.execute("UPDATE versions SET state = 'ready'")
        await world.database.execute(
            "INSERT INTO events (type, project, source, subject, data) SELECT"
            " 'slipway.version.ready.v1', project, '/ann/house', $1, '{}' FROM versions",
            version,
        )
        await ask(world, "POST", "/api/v2/application", application(graph([(made["id"], 100)])))
        await world.database.execute("UPDATE events SET position = seq")
        name, data = await told(answer)
        assert (name, msgspec.json.decode(data)["status"]) == ("ModelUpdate", "Released")
        name, data = await told(answer)
        assert (name, msgspec.json.decode(data)["name"]) == ("ApplicationUpdate", "claims")


def test_every_contract_comes_back_as_it_was_sent() -> None:
    fields = tuple(Field(name=name, dtype=name, shape=(-1, 3)) for name in DTYPES)
    contract = Contract(
        signature="predict",
        inputs=(*fields, Field(name="scalar", dtype="bool", shape=(), profile="nominal")),
        outputs=(Field(name="any", dtype="string"),),
    )
    sent = UPLOAD | {"contract": {"modelName": "x", "predict": views.signature(contract)}}
    wrongs = Wrongs()
    found = document.read([("", documents.model(sent))], DEFAULT, wrongs)
    assert list(wrongs) == []
    assert found.models[0].value.entry.contract == contract
