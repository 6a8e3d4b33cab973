"""The OpenAPI document against the application, and against JSON Schema."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from services.api.body import convert
from services.api.examples import EXAMPLES
from services.api.openapi import document
from services.api.operations import OPERATIONS
from tests.api.conftest import World

DOCUMENT = msgspec.json.decode(msgspec.json.encode(document(OPERATIONS)))


def refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for inner in part.values() for ref in refs(inner)]
    return [ref for inner in part for ref in refs(inner)] if isinstance(part, list) else []


def schemas(part: Any) -> list[Any]:
    if isinstance(part, dict):
        own = [part["schema"]] if "schema" in part else []
        return own + [found for inner in part.values() for found in schemas(inner)]
    return [found for inner in part for found in schemas(inner)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere() -> None:
    for ref in refs(DOCUMENT):
        at = DOCUMENT
        for step in ref.removeprefix("#/").split("/"):
            at = at[step]
        assert at


def test_every_schema_is_a_json_schema() -> None:
    for schema in [*DOCUMENT["components"]["schemas"].values(), *schemas(DOCUMENT["paths"])]:
        Draft202012Validator.check_schema(schema)
    for name in DOCUMENT["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name), name


def test_it_has_the_shape_that_openapi_asks_for() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(DOCUMENT["info"])
    names = set()
    for path, item in DOCUMENT["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in {"get", "head", "post", "put", "delete"}
            names.add(operation["operationId"])
            declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path
            for parameter in operation.get("parameters", ()):
                assert {"name", "in", "schema"} <= set(parameter)
                assert parameter["in"] in {"path", "query", "header"}
            assert operation["responses"]
            for status, answer in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d", status)
                assert "$ref" in answer or "description" in answer
    assert len(names) == sum(len(item) for item in DOCUMENT["paths"].values())


async def test_every_route_is_documented_and_every_documented_one_answers(world: World) -> None:
    said = await world.ask("GET", "/openapi.json", as_="")
    assert said.body == DOCUMENT
    for path, item in said.body["paths"].items():
        for method in item:
            here = re.sub(r"{\w+}", "x", path)
            answer = await world.ask(method.upper(), here, as_="")
            assert answer.status == (401 if path.startswith("/v1/") else 200), (method, path)
            assert str(answer.status) in item[method]["responses"]


async def test_answers_are_what_the_document_says(world: World) -> None:
    version = await world.version(name="v1")
    await world.gpus(a100=1)
    deployment = f"{world.place}/deployments/mnist"
    job = version["jobs"]["greet"]
    for path, template in (
        ("/v1/whoami", "/v1/whoami"),
        ("/v1/owners", "/v1/owners"),
        ("/v1/owners/ann/tokens", "/v1/owners/{owner}/tokens"),
        (deployment, "/v1/projects/{owner}/{project}/deployments/{deployment}"),
        (f"{deployment}/versions/v1", "/v1/projects/{owner}/{project}/deployments/{deployment}/versions/{version}"),
        (f"/v1/jobs/{job}", "/v1/jobs/{job}"),
        ("/v1/jobs", "/v1/jobs"),
        ("/v1/gpus", "/v1/gpus"),
        ("/v1/events", "/v1/events"),
        ("/v1/jobs/none", "/v1/jobs/{job}"),
    ):  # fmt: skip
        said = await world.ask("GET", path)
        answer = DOCUMENT["paths"][template]["get"]["responses"][str(said.status)]
        if "$ref" in answer:
            answer = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        schema = answer["content"][said.headers["Content-Type"].partition(";")[0]]["schema"]
        whole = {"components": DOCUMENT["components"], **schema}
        Draft202012Validator(whole).validate(said.body)


async def test_the_platforms_own_addresses(world: World) -> None:
    assert (await world.ask("GET", "/readyz", as_="")).status == 200
    shown = (await world.ask("GET", "/metrics", as_="")).body
    assert b"slipway_api_request_seconds" in shown


def test_the_examples_are_what_may_be_sent() -> None:
    for kind, example in EXAMPLES.items():
        assert convert(example, kind)
        schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
        Draft202012Validator({"components": DOCUMENT["components"], **schema}).validate(example)
