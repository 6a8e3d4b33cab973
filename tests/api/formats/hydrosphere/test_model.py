"""What a model may be."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.formats.hydrosphere.model import Model
from services.api.formats.hydrosphere.runtime import DEFAULT, known, runtime
from shared.endpoint import Training
from shared.errors import Invalid
from tests.api.formats.hydrosphere.documents import fields, model, notes, read

OURS = "hydrosphere/serving-runtime-python-3.7:2.3.2"


def made(**more: Any) -> Model:
    found, wrong = read(model(**more))
    assert wrong == []
    return found.models[0].value


def test_a_model_is_an_endpoint_that_answers_over_grpc() -> None:
    endpoint = made(**{"install-command": "pip install -r requirements.txt"}).endpoint
    assert (endpoint.name, endpoint.format, endpoint.port) == ("model", "hydrosphere", 9091)
    assert (endpoint.readiness, endpoint.environment) == ("listening", {})
    assert endpoint.image == "ann/runtime:1.0"
    assert endpoint.install == ("pip install -r requirements.txt",)
    assert made().endpoint.install == ()


def test_the_platform_serves_python_models_by_itself() -> None:
    for image, calls in (
        ("hydrosphere/serving-runtime-python-3.7:2.3.1", "tensors"),
        ("hydrosphere/serving-runtime-python-3.6:0.1.5", "tensors"),
        ("docker.io/hydrosphere/serving-runtime-python-3.7:2.0", "tensors"),
        ("hydrosphere/serving-runtime-python-3.7:2.3.2", "arrays"),
        ("hydrosphere/serving-runtime-python-3.8:2.4.0-rc1", "arrays"),
        ("hydrosphere/serving-runtime-python-3.7:latest", "arrays"),
        ("hydrosphere/serving-runtime-python-3.7", "arrays"),
        ("hydrosphere/serving-runtime-python-3.7@sha256:" + "0" * 64, "arrays"),
        ("slipway/model-server:1", "arrays"),
    ):
        found = runtime(image, DEFAULT)
        assert (found.server, found.calls, found.base) == ("platform", calls, ""), image
    assert runtime("hydrosphere/serving-runtime-tensorflow-1.13.1:2.0", DEFAULT).server == "runtime"
    assert made(runtime=OURS).endpoint.image == ""
    assert made(runtime=OURS).entry.runtime == OURS


def test_operators_say_which_runtimes_the_platform_serves() -> None:
    mine = known('{"ann/py*": "python:3.11"}', "MODEL_RUNTIMES")
    assert runtime("ann/py:1", mine).base == "python:3.11"
    assert runtime(OURS, mine).server == "runtime"
    assert known("", "MODEL_RUNTIMES") == DEFAULT
    for odd in ("{", "[]", '{"a": 1}'):
        with pytest.raises(Invalid, match="MODEL_RUNTIMES"):
            known(odd, "MODEL_RUNTIMES")


def test_a_runtime_may_be_anywhere() -> None:
    for image in ("a:1", "host:5000/a/b:1", "host/a@sha256:" + "0" * 64):
        assert made(runtime=image).entry.runtime == image
        assert notes(model(runtime=image)) == ()
    assert "has no tag" in notes(model(runtime="host:5000/a"))[0]


def test_metadata_is_kept_as_text() -> None:
    written = {"a": "x", "b": 1, "c": 1.5, "d": True, "e": ""}
    assert made(metadata=written).entry.metadata == {
        "a": "x",
        "b": "1",
        "c": "1.5",
        "d": "true",
        "e": "",
    }


def test_training_data_is_uploaded_or_lies_elsewhere() -> None:
    assert made().training(None) is None
    here = made(**{"training-data": "data/train.csv"})
    assert here.local
    assert here.training("sha256:1") == Training(digest="sha256:1")
    there = made(**{"training-data": "s3://bucket/data/train.csv"})
    assert not there.local
    assert there.training(None) == Training(uri="s3://bucket/data/train.csv")
    assert "read as CSV" in notes(model(**{"training-data": "train.parquet"}))[0]


def test_what_the_real_system_ignores_is_noted() -> None:
    assert notes(model(version=2)) == ()
    assert notes(model(extra=1))[0].startswith("extra: is not known and is ignored")
    for key in ("monitoring", "monitoring-configuration"):
        assert notes(model(**{key: {"batch-size": 100}}))[0].startswith(f"{key}: is taken")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "Claims"}, "name"),
        ({"name": "claims.model"}, "name"),
        ({"name": "claims\n"}, "name"),
        ({"name": "m\u0661"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"runtime": None}, "runtime"),
        ({"runtime": ""}, "runtime"),
        ({"runtime": "a b"}, "runtime"),
        ({"runtime": {"name": "a", "tag": "b"}}, "runtime"),
        ({"install-command": ["pip"]}, "install-command"),
        ({"install-command": "x" * 10_001}, "install-command"),
        ({"install-command": "a\0"}, "install-command"),
        ({"payload": "src/"}, "payload"),
        ({"payload": [""]}, "payload[0]"),
        ({"payload": ["a", 1]}, "payload[1]"),
        ({"payload": ["a"] * 1_001}, "payload"),
        ({"training-data": ["a.csv"]}, "training-data"),
        ({"training-data": "s3://bucket"}, "training-data"),
        ({"training-data": "s3:///a.csv"}, "training-data"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": {"a": None}}, "metadata.a"),
        ({"metadata": {"a": {"b": "c"}}}, "metadata.a"),
        ({"metadata": {"a": "x" * 10_001}}, "metadata.a"),
        ({"metadata": {str(number): 1 for number in range(201)}}, "metadata"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], field: str) -> None:
    assert fields(model(**more)) == [f"documents[0].{field}"]


def test_documents_have_a_kind() -> None:
    odd: Any
    for odd in (None, 5, "x", []):
        assert fields(odd) == ["documents[0]"]
    for kind in (None, "Config", "DeploymentConfig", "model", 5, ["Model"]):
        assert fields(model(kind=kind)) == ["documents[0].kind"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert fields(model(name="A", runtime=""), 5, model(payload=5)) == [
        "documents[0].name",
        "documents[0].runtime",
        "documents[1]",
        "documents[2].payload",
    ]
