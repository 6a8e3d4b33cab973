"""proxiML endpoints: as the SDK sends them, and every way to get one wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.api.formats import proximl
from services.api.types import ServingOptions
from services.api.types_proximl import NewEndpoint
from shared.endpoint import Command, Endpoint, Gpus, Parameter, Route, Routes, Serving
from shared.errors import Invalid
from shared.lifecycle import State

DIGEST = "sha256:" + "0" * 64
ROUTE: dict[str, Any] = {
    "path": "/predict",
    "verb": "POST",
    "file": "predict",
    "function": "predict_base64_image",
    "positional": True,
    "body": [{"name": "name", "type": "str"}, {"name": "contents", "type": "str"}],
}


def body(**fields: Any) -> NewEndpoint:
    """A sound endpoint but for what `fields` make of it."""
    document = {
        "name": "classifier",
        "type": "endpoint",
        "project_uuid": "ignored",
        "resources": {"gpu_types": ["rtx3090"], "gpu_count": 1, "disk_size": 10, "max_price": 10},
        "model": {"source_type": "local", "source_uri": DIGEST, "checkpoints": []},
        "data": {"datasets": [], "output_type": None},
        "endpoint": {"routes": [ROUTE]},
        "environment": {"type": "DEEPLEARNING_PY310", "env": [], "worker_key_types": []},
        **fields,
    }
    return msgspec.convert(document, NewEndpoint)


@pytest.mark.parametrize("said", ["resources", "scheduling"])
def test_it_may_have_to_give_way_when_either_part_says_so(said: str) -> None:
    resources = {"gpu_types": ["rtx3090"], "preemptible": None}
    assert not proximl.endpoint(body(resources=resources)).scheduling.preemptible
    fields = {"resources": resources} | {said: {"gpu_types": ["rtx3090"], "preemptible": True}}
    if said == "scheduling":
        fields[said] = {"preemptible": True}
    assert proximl.endpoint(body(**fields)).scheduling.preemptible


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("submitted", "new"),
        ("building", "waiting for data/model download"),
        ("queued", "waiting for resources"),
        ("starting", "starting"),
        ("running", "running"),
        ("stopping", "stopping"),
        ("stopped", "stopped"),
        ("finished", "finished"),
        ("failed", "failed"),
        ("terminated", "removed"),
        ("purged", "removed"),
    ],
)
def test_each_state_has_the_word_that_users_of_the_format_know(state: str, word: str) -> None:
    assert proximl.STATUS[State(state)] == word


def test_no_state_is_without_a_word() -> None:
    assert set(proximl.STATUS) == set(State)


def test_an_endpoint_has_no_outputs() -> None:
    with pytest.raises(Invalid) as error:
        proximl.endpoint(body(data={"datasets": [], "output_type": "aws", "output_uri": "s3://a"}))
    (wrong,) = error.value.errors
    assert wrong.field == "data.output_type"
    assert wrong.message == "Invalid Request - output_type invalid for Notebook and Endpoint jobs"


def route(**fields: Any) -> NewEndpoint:
    return body(endpoint={"routes": [{**ROUTE, **fields}]})


def read_route(**fields: Any) -> Route:
    entry = proximl.endpoint(route(**fields)).entry
    assert isinstance(entry, Routes)
    return entry.routes[0]


def test_what_the_sdk_sends_is_understood() -> None:
    assert proximl.endpoint(body()) == Endpoint(
        name="classifier",
        format="proximl",
        port=80,
        readiness="ping",
        entry=Routes(
            routes=(
                Route(
                    verb="POST",
                    path="/predict",
                    file="predict",
                    function="predict_base64_image",
                    positional=True,
                    body=(
                        Parameter(name="name", type="str"),
                        Parameter(name="contents", type="str"),
                    ),
                ),
            )
        ),
        gpus=Gpus(types=("rtx3090",), count=1, max_price=10),
        disk_gib=10,
        image="DEEPLEARNING_PY310",
    )


def test_a_start_command_is_ready_as_soon_as_it_runs() -> None:
    found = proximl.endpoint(body(endpoint={"start_command": "nginx -g 'daemon off;'"}))
    assert found.entry == Command(lines=("nginx -g 'daemon off;'",))
    assert (found.port, found.readiness) == (80, "none")


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"gpu_types": ["cpu"]}, Gpus()),
        ({"gpu_types": ["CPU"], "gpu_count": 0}, Gpus()),
        ({"gpu_type_id": "RTX 2070 Super"}, Gpus(types=("rtx2070s",), count=1)),
        ({"gpu_type_id": "GTX 1060", "gpu_count": 4}, Gpus(types=("gtx1060",), count=4)),
        ({"gpu_types": ["a100", "A100", "v100"]}, Gpus(types=("a100", "v100"), count=1)),
    ],
)
def test_gpu_types_are_written_in_many_ways(resources: dict[str, Any], gpus: Gpus) -> None:
    assert proximl.endpoint(body(resources=resources)).gpus == gpus


def test_the_inventory_may_know_more_gpu_types() -> None:
    found = proximl.endpoint(body(resources={"gpu_types": ["H100"]}), known=("h100",))
    assert found.gpus.types == ("h100",)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("predict.py", "predict"),
        ("./predict.py", "predict"),
        ("lib/predict.py", "lib/predict"),
        ("lib.predict", "lib/predict"),
    ],
)
def test_a_routes_file_is_a_module_of_the_model(file: str, module: str) -> None:
    assert read_route(file=file).file == module


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("string", "str"),
        ("integer", "int"),
        ("number", "float"),
        ("boolean", "bool"),
        ("array", "list"),
        ("object", "dict"),
        ("float", "float"),
    ],
)
def test_types_have_aliases(alias: str, name: str) -> None:
    assert read_route(body=[{"name": "x", "type": alias}]).body[0].type == name


def test_a_verb_may_be_small_or_left_out() -> None:
    assert read_route(verb="put").verb == "PUT"
    sent = {key: ROUTE[key] for key in ("path", "file", "function")}
    entry = proximl.endpoint(body(endpoint={"routes": [sent]})).entry
    assert entry == Routes(
        routes=(Route(verb="POST", path="/predict", file="predict", function=ROUTE["function"]),)
    )


def test_one_path_may_have_several_verbs() -> None:
    routes = [{**ROUTE, "verb": verb} for verb in ("POST", "PUT")]
    entry = proximl.endpoint(body(endpoint={"routes": routes})).entry
    assert isinstance(entry, Routes)
    assert [each.verb for each in entry.routes] == ["POST", "PUT"]


def test_environment_and_packages_arrive() -> None:
    found = proximl.endpoint(
        body(
            environment={
                "type": "CUSTOM",
                "custom_image": "registry.example:5000/team/image@sha256:ab",
                "env": [{"key": "A", "value": "b"}],
                "packages": {
                    "pip": ["numpy", " scipy>=1.10, <2 ", "a[b,c]==1.*; python_version < '3.12'"]
                },
            },
            serving={"concurrency": 1},
        )
    )
    assert found.image == "registry.example:5000/team/image@sha256:ab"
    assert found.environment == {"A": "b"}
    assert found.pip_packages == (
        "numpy",
        "scipy>=1.10, <2",
        "a[b,c]==1.*; python_version < '3.12'",
    )
    assert found.serving == Serving(concurrency=1)
    assert ServingOptions().concurrency == Serving().concurrency


def first(what: str) -> str:
    return f"endpoint.routes[0].{what}"


WRONG: dict[str, tuple[NewEndpoint, str, str]] = {
    "no routes": (
        body(endpoint={}),
        "endpoint.routes",
        "Invalid Request - Endpoints must have at least one route specified",
    ),
    "an empty command": (
        body(endpoint={"start_command": " "}),
        "endpoint.routes",
        "Invalid Request - Endpoints must have at least one route specified",
    ),
    "routes and a command": (
        body(endpoint={"routes": [ROUTE], "start_command": "x"}),
        "endpoint",
        "give exactly one",
    ),
    "a command with a NUL": (
        body(endpoint={"start_command": "a\0b"}),
        "endpoint.start_command",
        "NUL",
    ),
    "too many routes": (
        body(endpoint={"routes": [{**ROUTE, "path": f"/{n}"} for n in range(101)]}),
        "endpoint.routes",
        "more than the 100",
    ),
    "a text for a route": (
        body(endpoint={"routes": ["/predict"]}),
        "endpoint.routes[0]",
        "wrong type: expected `object`, got `str`",
    ),
    "a path that is a number": (route(path=3), first("path"), "wrong type: expected `str`"),
    "a path without /": (route(path="predict"), first("path"), "must begin with /"),
    "an empty path": (route(path=""), first("path"), "must begin with /"),
    "a path with a query": (route(path="/a?b=c"), first("path"), "plain in a URL's path"),
    "a path with a space": (route(path="/a b"), first("path"), "plain in a URL's path"),
    "a path with a line break": (route(path="/a\n"), first("path"), "plain in a URL's path"),
    "a path with a template": (route(path="/a/{id}"), first("path"), "plain in a URL's path"),
    "a path that climbs": (route(path="/a/../b"), first("path"), "`..` segment"),
    "a path with a hole": (route(path="/a//b"), first("path"), "empty"),
    "a long path": (route(path="/" + "a" * 1_000), first("path"), "plain"),
    "ping": (route(path="/ping"), first("path"), "answered by the platform"),
    "ping again": (route(path="/Ping/", verb="GET"), first("path"), "answered by the platform"),
    "one path twice": (
        body(endpoint={"routes": [ROUTE, {**ROUTE, "verb": "post"}]}),
        "endpoint.routes[1].path",
        "another route has POST '/predict' already",
    ),
    "an unknown verb": (route(verb="FETCH"), first("verb"), "allowed: DELETE, GET"),
    "CONNECT": (route(verb="CONNECT"), first("verb"), "is no verb"),
    "a file above": (route(file="../predict.py"), first("file"), "not a Python file"),
    "an absolute file": (route(file="/etc/passwd"), first("file"), "not a Python file"),
    "an empty file": (route(file=""), first("file"), "not a Python file"),
    "only .py": (route(file=".py"), first("file"), "not a Python file"),
    "a file with a NUL": (route(file="a\0"), first("file"), "not a Python file"),
    "no function": (route(function=""), first("function"), "not the name of a function"),
    "a call": (route(function="f()"), first("function"), "not the name of a function"),
    "a chain": (route(function="os.system"), first("function"), "not the name of a function"),
    "positional in words": (route(positional="yes"), first("positional"), "expected `bool`"),
    "a body that is a mapping": (route(body={"a": "str"}), first("body"), "expected `array`"),
    "a parameter without a type": (
        route(body=[{"name": "a"}]),
        first("body[0].type"),
        "is missing",
    ),
    "a parameter without a name": (
        route(body=[{"type": "str"}]),
        first("body[0].name"),
        "is missing",
    ),
    "a name with a dash": (
        route(body=[{"name": "a-b", "type": "str"}]),
        first("body[0].name"),
        "not the name of an argument",
    ),
    "a name twice": (
        route(body=[{"name": "a", "type": "str"}, {"name": "a", "type": "int"}]),
        first("body[1].name"),
        "is there twice",
    ),
    "an unknown type": (
        route(body=[{"name": "a", "type": "tensor"}]),
        first("body[0].type"),
        "allowed: str, int, float, bool, list, dict",
    ),
    "many parameters": (
        route(body=[{"name": f"a{n}", "type": "str"} for n in range(101)]),
        first("body"),
        "more than the 100",
    ),
    "no GPUs": (
        body(resources={"gpu_types": ["a100"], "gpu_count": 0}),
        "resources.gpu_count",
        "0 is out of range; allowed: 1 to 4",
    ),
    "five GPUs": (
        body(resources={"gpu_types": ["a100"], "gpu_count": 5}),
        "resources.gpu_count",
        "5 is out of range; allowed: 1 to 4",
    ),
    "five GPUs of none": (
        body(resources={"gpu_types": ["cpu"], "gpu_count": 5}),
        "resources.gpu_count",
        "allowed: 1 to 4",
    ),
    "an unknown GPU": (
        body(resources={"gpu_types": ["rtx9090"]}),
        "resources.gpu_types",
        "'rtx9090' is not a known GPU type; allowed: cpu, a100",
    ),
    "an unknown GPU by its id": (
        body(resources={"gpu_type_id": "RTX 9090"}),
        "resources.gpu_type_id",
        "'RTX 9090' is not a known GPU type",
    ),
    "no GPU type": (body(resources={}), "resources.gpu_types", "or cpu for none"),
    "cpu and a GPU": (
        body(resources={"gpu_types": ["cpu", "a100"]}),
        "resources.gpu_types",
        "can't be combined",
    ),
    "a bucket": (
        body(model={"source_type": "aws", "source_uri": "s3://models/x"}),
        "model.source_type",
        "'aws' is not known; allowed: local, git",
    ),
    "no model": (body(model={}), "model.source_uri", "digest of an uploaded"),
    "a path for a model": (
        body(model={"source_uri": "/home/me/model"}),
        "model.source_uri",
        "digest of an uploaded",
    ),
    "an unknown environment": (
        body(environment={"type": "python"}),
        "environment.type",
        "allowed: CUSTOM",
    ),
    "CUSTOM without an image": (
        body(environment={"type": "CUSTOM"}),
        "environment.custom_image",
        "is missing",
    ),
    "an image without CUSTOM": (
        body(environment={"custom_image": "python:3.11"}),
        "environment.custom_image",
        "goes with the type CUSTOM",
    ),
    "an image that is none": (
        body(environment={"type": "CUSTOM", "custom_image": "a b"}),
        "environment.custom_image",
        "is not an image",
    ),
    "a bad variable": (
        body(environment={"env": [{"key": "1A", "value": "x"}]}),
        "environment.env",
        "'1A' is not a variable's name",
    ),
    "a variable twice": (
        body(environment={"env": [{"key": "A", "value": "x"}, {"key": "A", "value": "y"}]}),
        "environment.env.A",
        "is given twice",
    ),
    "apt packages": (
        body(environment={"packages": {"apt": ["ffmpeg"]}}),
        "environment.packages.apt",
        "can't be installed on this target; allowed: pip",
    ),
    "conda packages": (
        body(environment={"packages": {"conda": ["cudatoolkit"]}}),
        "environment.packages.conda",
        "can't be installed on this target",
    ),
    "an option as a package": (
        body(environment={"packages": {"pip": ["numpy", "--index-url=http://x"]}}),
        "environment.packages.pip[1]",
        "is not a package's name",
    ),
    "a path as a package": (
        body(environment={"packages": {"pip": ["/etc"]}}),
        "environment.packages.pip[0]",
        "is not a package's name",
    ),
    "a URL as a package": (
        body(environment={"packages": {"pip": ["git+file:///etc"]}}),
        "environment.packages.pip[0]",
        "is not a package's name",
    ),
    "two lines as a package": (
        body(environment={"packages": {"pip": ["a\n-r b"]}}),
        "environment.packages.pip[0]",
        "is not a package's name",
    ),
    "exclamation marks as a package": (
        body(environment={"packages": {"pip": ["a" + "!" * 298]}}),
        "environment.packages.pip[0]",
        "is not a package's name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    sent, field, message = WRONG[case]
    with pytest.raises(Invalid) as caught:
        proximl.endpoint(sent)
    wrongs = {wrong.field: wrong.message for wrong in caught.value.errors}
    assert field in wrongs
    assert message in wrongs[field]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        proximl.endpoint(
            body(
                resources={"gpu_types": ["a100"], "gpu_count": 5},
                model={"source_type": "aws"},
                endpoint={"routes": [{**ROUTE, "path": "x"}, {**ROUTE, "verb": "x"}]},
            )
        )
    assert [wrong.field for wrong in caught.value.errors] == [
        "model.source_type",
        "endpoint.routes[0].path",
        "endpoint.routes[1].verb",
        "resources.gpu_count",
    ]


def test_a_target_with_images_of_its_own_takes_packages_of_its_system() -> None:
    asked = body(
        environment={
            "packages": {"apt": [" ffmpeg", "libgomp1=12.2.0-14"], "conda": ["cudatoolkit=11.8"]}
        }
    )
    made = proximl.endpoint(asked, has_images=True)
    assert made.apt_packages == ("ffmpeg", "libgomp1=12.2.0-14")
    assert made.conda_packages == ("cudatoolkit=11.8",)


@pytest.mark.parametrize("kind", ["apt", "conda"])
@pytest.mark.parametrize(
    "name",
    ["-y", "--allow-unauthenticated", "./x.deb", "/etc", "a b", "a;b", "$(x)", "", "a\nb", "é"],
)
def test_a_package_of_the_system_is_a_name_and_nothing_else(kind: str, name: str) -> None:
    asked = body(environment={"packages": {kind: ["fine", name]}})
    with pytest.raises(Invalid, match="is not a package's name") as caught:
        proximl.endpoint(asked, has_images=True)
    assert [wrong.field for wrong in caught.value.errors] == [f"environment.packages.{kind}[1]"]


def test_packages_of_the_system_have_a_limit() -> None:
    asked = body(environment={"packages": {"apt": ["tree"] * 501}})
    with pytest.raises(Invalid, match="more than the 500"):
        proximl.endpoint(asked, has_images=True)
