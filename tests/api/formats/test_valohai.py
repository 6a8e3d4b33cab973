"""valohai.yaml: the documented examples as they stand, every field, and every way to get it wrong."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.api.formats import valohai
from services.api.types import ServingOptions
from shared.endpoint import (
    Command,
    File,
    Gpus,
    Range,
    Resources,
    Serving,
    Toleration,
    Volume,
    Workspace,
    Wsgi,
)
from shared.errors import Invalid

SEEDS = Path(__file__).parent / "seeds"
DIGEST = "sha256:" + "0" * 64


def endpoint(**fields: object) -> str:
    """A file with one endpoint, sound but for what `fields` make of it (None removes one)."""
    item = {"name": "digits", "image": "python:3.11", "wsgi": "app", **dashed(fields)}
    return json.dumps([{"endpoint": {key: item[key] for key in item if item[key] is not None}}])


def dashed(fields: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in fields.items()}


def refused(text: str | bytes, **others: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        valohai.endpoints(text, **others)
    return {wrong.field: wrong.message for wrong in caught.value.errors}


@pytest.mark.parametrize("indent", ["", "  ", "\t".expandtabs(8)])
class TestTheDocumentedExamples:
    def read(self, name: str, indent: str) -> str:
        return textwrap.indent((SEEDS / name).read_text(), indent)

    def test_server_command(self, indent: str) -> None:
        text = self.read("server-endpoint.yaml", indent)
        files = {"server-endpoint": {"model": DIGEST}}
        [found] = valohai.endpoints(text, files=files)
        assert found.name == "server-endpoint"
        assert found.image == "python:3.6"
        assert found.port == 1453
        assert found.entry == Command(lines=("python run_server.py",))
        assert found.readiness == "listening"
        assert found.files == (
            File(name="model", path="model.pb", description="Model output file from TensorFlow"),
        )

    def test_wsgi(self, indent: str) -> None:
        text = self.read("wsgi-endpoint.yaml", indent)
        [found] = valohai.endpoints(text, files={"wsgi-endpoint": {"model": DIGEST}})
        assert found.entry == Wsgi(app="predict_wsgi:predict_wsgi")
        assert found.description == "predict digits from image inputs"
        assert found.port == 8000

    def test_two_endpoints(self, indent: str) -> None:
        text = self.read("two-endpoints.yaml", indent)
        files = {"predict-digit": {"model": DIGEST}}
        greet, predict = valohai.endpoints(text, files=files)
        assert greet.entry == Command(lines=("python -m wsgiref.simple_server",))
        assert (greet.name, greet.port, greet.files) == ("greet-me", 8000, ())
        assert predict.name == "predict-digit"
        assert predict.description == 'Predict digits from image inputs ("file" parameter).'


def test_every_field_arrives() -> None:
    text = endpoint(
        port=5000,
        description="Reads digits",
        files=[{"name": "model", "path": "./data//m.npz"}],
        node_selector="pool=gpu",
        resources={
            "cpu": {"min": 0.5, "max": 2},
            "memory": {"min": 100},
            "devices": {"nvidia.com/gpu": 2},
            "ephemeral-storage": {"max": 1000},
        },
        tolerations=[
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"operator": "Exists"},
        ],
        shared_volumes=[
            {"pvc-name": "data", "mount-path": "/data", "sub-path": "x/y", "read-only": True}
        ],
        workspace_volume={"mount-path": "/work", "size": 5, "storage-class-name": "fast"},
    )
    [found] = valohai.endpoints(
        text,
        files={"digits": {"model": DIGEST}},
        environment={"LEVEL": "debug"},
        serving={"digits": ServingOptions(concurrency=2, strip_prefix=True)},
    )
    assert found.format == "valohai"
    assert found.port == 5000
    assert found.files == (File(name="model", path="data/m.npz"),)
    assert found.node_selector == "pool=gpu"
    assert found.gpus == Gpus(count=2)
    assert found.resources == Resources(
        cpu=Range(min=0.5, max=2), memory=Range(min=100), disk=Range(max=1000)
    )
    assert found.tolerations == (
        Toleration(key="gpu", operator="Exists", effect="NoSchedule"),
        Toleration(operator="Exists"),
    )
    assert found.volumes == (
        Volume(claim="data", mount_path="/data", sub_path="x/y", read_only=True),
    )
    assert found.workspace == Workspace(mount_path="/work", size_gib=5, storage_class="fast")
    assert found.environment == {"LEVEL": "debug"}
    assert found.serving == Serving(concurrency=2, strip_prefix=True)


@pytest.mark.parametrize(
    ("fields", "entry"),
    [
        ({"wsgi": "app"}, Wsgi(app="app:application")),
        ({"wsgi": "package.app:make"}, Wsgi(app="package.app:make")),
        ({"wsgi": "package.app:make()"}, Wsgi(app="package.app:make()")),
        ({"wsgi": None, "server_command": "a && b"}, Command(lines=("a && b",))),
        ({"wsgi": None, "server_command": ["a", " ", "b"]}, Command(lines=("a", "b"))),
        ({"wsgi": None, "server_command": "a\nb\n"}, Command(lines=("a\nb\n",))),
    ],
)
def test_the_ways_to_start_a_server(fields: dict[str, object], entry: object) -> None:
    [found] = valohai.endpoints(endpoint(**fields))
    assert found.entry == entry


def test_a_round_fraction_is_a_port() -> None:
    [found] = valohai.endpoints(endpoint(port=8000.0))
    assert found.port == 8000
    assert type(found.port) is int


def test_the_last_of_two_endpoints_with_one_name_wins_with_a_warning() -> None:
    first, second = json.loads(endpoint(port=5000)), json.loads(endpoint(port=6000))
    document = valohai.read(json.dumps(first + second))
    assert [found.port for found in document.endpoints] == [6000]
    assert document.warnings == ("Duplicate endpoint name: digits.",)


def test_items_of_other_kinds_are_left_alone() -> None:
    others = textwrap.dedent("""
        - step: {name: train, image: "python:3.11", command: python train.py}
        - task: {name: many, step: train, type: random_search, parameters: []}
        - pipeline:
            name: all
            nodes: [{name: train, type: execution, step: train}]
            edges: []
        - deployment: {name: americas, defaults: {target: default}}
        - endpoint: {name: ab, image: x, wsgi: app}
    """)
    document = valohai.read(others)
    assert [found.name for found in document.endpoints] == ["ab"]
    assert document.targets == {"americas": "default"}


def test_some_of_the_endpoints_are_chosen_in_the_files_order() -> None:
    text = (SEEDS / "two-endpoints.yaml").read_text()
    [greet] = valohai.endpoints(text, only=["greet-me"])
    assert greet.name == "greet-me"
    files = {"predict-digit": {"model": DIGEST}}
    both = valohai.endpoints(text, only=["predict-digit", "greet-me"], files=files)
    assert [found.name for found in both] == ["greet-me", "predict-digit"]


WRONG: dict[str, tuple[str, str, str]] = {
    # the whole file
    "empty": ("", "config", "is empty; it must be a list"),
    "a mapping": ("endpoint: {name: ab}", "config", "is a mapping; it must be a list"),
    "a text": ("hello", "config", "is the text 'hello'"),
    "brackets": ("[" * 60_000, "config", "nested deeper"),
    "no endpoint": ("- step: {name: a, image: b, command: c}", "config", "declares no endpoint"),
    "a misspelt item": (
        "- endpiont: {}",
        "config[0]",
        "'endpiont' is not a kind of item; allowed:",
    ),
    "an item of two kinds": ("- {endpoint: {}, step: {}}", "config[0]", "exactly one key"),
    "an item that is a text": ("- endpoint", "config[0]", "must be a mapping"),
    "wrong indentation": ("- endpoint:\n  name: ab", "config[0]", "exactly one key"),
    "nothing below": ("- endpoint:", "endpoint", "is empty; it must be a mapping, indented"),
    "a broken step": ("- step: {name: a}", "step.command", "a: is missing"),
    "a broken deployment": ("- deployment: {name: a, b: c}", "deployment.b", "not a known field"),
    "a broken pipeline": ("- blueprint: {name: a, nodes: []}", "blueprint.edges", "is missing"),
    # name and image
    "no name": (endpoint(name=None), "endpoint.name", "is missing"),
    "no image": (endpoint(image=None), "endpoint.image", "digits: is missing"),
    "upper case": (endpoint(name="Digits"), "endpoint.name", "'Digits' does not match"),
    "underscore": (endpoint(name="my_digits"), "endpoint.name", "lowercase"),
    "one letter": (endpoint(name="a"), "endpoint.name", "does not match"),
    "a digit first": (endpoint(name="1st"), "endpoint.name", "does not match"),
    "a line break behind": (endpoint(name="ab\n"), "endpoint.name", "a-z, 0-9 and -"),
    "a long name": (endpoint(name="a" * 64), "endpoint.name", "63 characters"),
    "a number as name": (endpoint(name=3), "endpoint.name", "is the number 3; it must be text"),
    "an empty image": (endpoint(image=""), "endpoint.image", "is not an image"),
    "an image with a space": (endpoint(image="a b"), "endpoint.image", "is not an image"),
    "an image that is an option": (endpoint(image="--help"), "endpoint.image", "is not an image"),
    # the server
    "neither": (endpoint(wsgi=None), "endpoint", "neither server-command nor wsgi; give exactly"),
    "both": (endpoint(server_command="x"), "endpoint", "has server-command and wsgi; give exactly"),
    "a file as wsgi": (endpoint(wsgi="app.py:"), "endpoint.wsgi", "`module:callable`"),
    "a command as wsgi": (endpoint(wsgi="app --reload"), "endpoint.wsgi", "`module:callable`"),
    "an empty wsgi": (endpoint(wsgi=""), "endpoint.wsgi", "is not `module`"),
    "an empty command": (
        endpoint(wsgi=None, server_command=" "),
        "endpoint.server-command",
        "is empty",
    ),
    "an empty list of commands": (
        endpoint(wsgi=None, server_command=[]),
        "endpoint.server-command",
        "is empty",
    ),
    "a number as command": (
        endpoint(wsgi=None, server_command=3),
        "endpoint.server-command",
        "must be text or a list",
    ),
    "a number among commands": (
        endpoint(wsgi=None, server_command=["a", 3]),
        "endpoint.server-command",
        "must be text or a list",
    ),
    # port
    "a privileged port": (
        endpoint(port=80),
        "endpoint.port",
        "80 is out of range; allowed: 1025 to",
    ),
    "a port too high": (endpoint(port=65536), "endpoint.port", "allowed: 1025 to 65535"),
    "a negative port": (endpoint(port=-1), "endpoint.port", "allowed: 1025 to 65535"),
    "a huge port": (endpoint(port=10**39), "endpoint.port", "out of range"),
    "an enormous port": (endpoint(port=10**4000), "config", "number of more than"),
    "half a port": (endpoint(port=8000.5), "endpoint.port", "not a whole number"),
    "no number": (
        endpoint(port="8000"),
        "endpoint.port",
        "is the text '8000'; it must be a number",
    ),
    "true": (endpoint(port=True), "endpoint.port", "is true; it must be a number"),
    "not a number": (
        "- endpoint: {name: ab, image: x, wsgi: a, port: .nan}",
        "endpoint.port",
        "not a whole number",
    ),
    # files
    "a file above": (
        endpoint(files=[{"name": "m", "path": "../m"}]),
        "endpoint.files[0].path",
        "inside the code folder",
    ),
    "an absolute file": (
        endpoint(files=[{"name": "m", "path": "/etc/passwd"}]),
        "endpoint.files[0].path",
        "inside the code folder",
    ),
    "a folder": (
        endpoint(files=[{"name": "m", "path": "models/"}]),
        "endpoint.files[0].path",
        "inside the code folder",
    ),
    "a file with no path": (
        endpoint(files=[{"name": "m"}]),
        "endpoint.files[0].path",
        "digits: is missing",
    ),
    "a file with more": (
        endpoint(files=[{"name": "m", "path": "m", "mode": 1}]),
        "endpoint.files[0].mode",
        "allowed: description, name, path",
    ),
    "two files of one name": (
        endpoint(files=[{"name": "m", "path": "a"}, {"name": "m", "path": "b"}]),
        "endpoint.files[1].name",
        "declared twice",
    ),
    "two files in one place": (
        endpoint(files=[{"name": "m", "path": "a"}, {"name": "n", "path": "a/b"}]),
        "endpoint.files[1].path",
        "in the way",
    ),
    # the rest
    "an unknown field": (
        endpoint(replicas=2),
        "endpoint.replicas",
        "is not a known field; allowed:",
    ),
    "a selector without =": (endpoint(node_selector="gpu"), "endpoint.node-selector", "match ="),
    "no devices": (
        endpoint(resources={"devices": {"nvidia.com/gpu": 0}}),
        "endpoint.resources.devices.nvidia.com/gpu",
        "allowed: 1 or more",
    ),
    "half a device": (
        endpoint(resources={"devices": {"nvidia.com/gpu": 1.5}}),
        "endpoint.resources.devices.nvidia.com/gpu",
        "whole number",
    ),
    "another device": (
        endpoint(resources={"devices": {"amd.com/gpu": 1}}),
        "endpoint.resources.devices",
        "allowed: nvidia.com/gpu",
    ),
    "min above max": (
        endpoint(resources={"memory": {"min": 5, "max": 4}}),
        "endpoint.resources.memory",
        "min 5 is more than max 4",
    ),
    "negative cpu": (
        endpoint(resources={"cpu": {"min": -1}}),
        "endpoint.resources.cpu.min",
        "is not from 0",
    ),
    "words for cpu": (
        endpoint(resources={"cpu": {"min": "500m"}}),
        "endpoint.resources.cpu.min",
        "must be a number",
    ),
    "a toleration of nothing": (
        endpoint(tolerations=[{"operator": "Equal"}]),
        "endpoint.tolerations[0]",
        "needs a key, unless",
    ),
    "an unknown effect": (
        endpoint(tolerations=[{"key": "a", "effect": "Never"}]),
        "endpoint.tolerations[0].effect",
        "allowed: PreferNoSchedule, NoSchedule, NoExecute",
    ),
    "a relative mount": (
        endpoint(shared_volumes=[{"pvc-name": "a", "mount-path": "data"}]),
        "endpoint.shared-volumes[0].mount-path",
        "begin it with /",
    ),
    "an absolute sub-path": (
        endpoint(shared_volumes=[{"pvc-name": "a", "mount-path": "/d", "sub-path": "/x"}]),
        "endpoint.shared-volumes[0].sub-path",
        "not a relative path",
    ),
    "one mount twice": (
        endpoint(
            shared_volumes=[{"pvc-name": "a", "mount-path": "/d"}],
            workspace_volume={"mount-path": "/d/", "size": 1},
        ),
        "endpoint.workspace-volume.mount-path",
        "mounted at '/d/' already",
    ),
    "no room": (
        endpoint(workspace_volume={"mount-path": "/d", "size": 0}),
        "endpoint.workspace-volume.size",
        "allowed: 1 or more",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    text, field, message = WRONG[case]
    wrongs = refused(text)
    assert field in wrongs
    assert message in wrongs[field]
    assert all(len(text) < 500 for text in wrongs.values())


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrongs = refused(endpoint(name="A", wsgi=None, port=80, zone="x"))
    assert set(wrongs) == {"endpoint.name", "endpoint", "endpoint.port", "endpoint.zone"}


def test_however_much_is_wrong_the_answer_is_short() -> None:
    assert len(refused(json.dumps([{"endpoint": {"name": str(n)}} for n in range(500)]))) <= 50


GIVEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "a file not given": ({}, "files.predict-digit.model", "declares this file; give"),
    "an unknown file": (
        {"files": {"predict-digit": {"model": DIGEST, "labels": DIGEST}}},
        "files.predict-digit.labels",
        "declares no such file; allowed: model",
    ),
    "a file for an endpoint without any": (
        {"only": ["greet-me"], "files": {"greet-me": {"model": DIGEST}}},
        "files.greet-me.model",
        "allowed: none",
    ),
    "files for an unknown endpoint": (
        {"files": {"nobody": {"model": DIGEST}}},
        "files.nobody",
        "no such endpoint; allowed: greet-me, predict-digit",
    ),
    "files for an endpoint that was not chosen": (
        {"only": ["greet-me"], "files": {"predict-digit": {"model": DIGEST}}},
        "files.predict-digit",
        "no such endpoint; allowed: greet-me",
    ),
    "an unknown endpoint": (
        {"only": ["greet-me", "nobody"]},
        "endpoints[1]",
        "no endpoint 'nobody'; allowed: greet-me, predict-digit",
    ),
    "no endpoint": ({"only": []}, "endpoints", "is empty"),
    "serving of an unknown endpoint": (
        {"only": ["greet-me"], "serving": {"nobody": ServingOptions()}},
        "serving.nobody",
        "no such endpoint",
    ),
    "a variable with a bad name": (
        {"only": ["greet-me"], "environment": {"A-B": "x"}},
        "environment",
        "'A-B' is not a variable's name",
    ),
    "a variable with a NUL": (
        {"only": ["greet-me"], "environment": {"A": "\0"}},
        "environment.A",
        "NUL",
    ),
    "a long variable": (
        {"only": ["greet-me"], "environment": {"A": "x" * 40_000}},
        "environment.A",
        "longer than",
    ),
    "many variables": (
        {"only": ["greet-me"], "environment": {f"A{n}": "" for n in range(201)}},
        "environment",
        "more than the 200",
    ),
}


@pytest.mark.parametrize("case", GIVEN)
def test_what_is_given_must_fit_the_file(case: str) -> None:
    others, field, message = GIVEN[case]
    wrongs = refused((SEEDS / "two-endpoints.yaml").read_text(), **others)
    assert message in wrongs[field]


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["digits", "a:b", "/x", "x=y", "../z", "Exists"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "path",
                    "key",
                    "operator",
                    "min",
                    "max",
                    "cpu",
                    "devices",
                    "nvidia.com/gpu",
                    "pvc-name",
                    "mount-path",
                    "size",
                    "target",
                ]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "name",
        "image",
        "wsgi",
        "server-command",
        "port",
        "files",
        "resources",
        "tolerations",
        "shared-volumes",
        "workspace-volume",
        "node-selector",
        "defaults",
        "nodes",
        "edges",
        "command",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["endpoint", "deployment", "step", "pipeline", "task"]),
    st.dictionaries(FIELDS, VALUES, max_size=8),
)
def test_any_item_is_read_or_is_an_error_of_the_sender(kind: str, item: dict[str, Any]) -> None:
    sound = {"name": "ab", "image": "x", "wsgi": "a"} if kind == "endpoint" else {"name": "ab"}
    text = json.dumps([{kind: sound | item}])
    try:
        document = valohai.read(text)
    except Invalid:
        return
    assert all(1025 <= found.port <= 65535 for found in document.endpoints)
