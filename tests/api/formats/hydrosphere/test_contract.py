"""What a contract may say: every type, shape and profile."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.formats.hydrosphere.model import Model
from shared.contract import ALIASES, DTYPES, Contract, Field
from tests.api.formats.hydrosphere.documents import NUMBER, fields, model, notes, read

INPUT = "documents[0].contract.inputs.x"


def contract(**more: Any) -> dict[str, Any]:
    return model(contract={"inputs": {"x": NUMBER}, "outputs": {"y": NUMBER}} | more)


def made(written: dict[str, Any]) -> Contract:
    found, wrong = read(written)
    assert wrong == []
    value = found.models[0].value
    assert isinstance(value, Model)
    return value.entry.contract


def of(field: Any) -> Field:
    return made(contract(inputs={"x": field})).inputs[0]


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_is_known_by_its_name(name: str) -> None:
    assert of({"type": name}).dtype == name


def test_types_have_other_names() -> None:
    assert {name: of({"type": name}).dtype for name in ALIASES} == ALIASES


def test_shapes_are_as_they_are_written() -> None:
    for written, shape in (
        ("scalar", ()),
        ([], ()),
        ([-1], (-1,)),
        ([1, 224.0, 224, 3], (1, 224, 224, 3)),
        (None, None),
    ):
        assert of({"type": "int8", "shape": written}).shape == shape
    assert of({"type": "int8"}).shape is None


def test_any_size_behind_the_first_dimension_is_taken_with_a_note() -> None:
    field = {"type": "int8", "shape": [-1, -1, 3]}
    assert of(field).shape == (-1, -1, 3)
    assert notes(contract(inputs={"x": field}))[0].startswith("contract.inputs.x.shape: -1")
    assert notes(contract(inputs={"x": field | {"shape": [-1, 3]}})) == ()


def test_profiles_are_known_however_they_are_written() -> None:
    for written in ("image", "IMAGE", "Image"):
        assert of({"type": "int8", "profile": written}).profile == "image"
    for odd in ("real", 5):
        said = notes(contract(inputs={"x": {"type": "int8", "profile": odd}}))
        assert len(said) == 1
        assert "is not a profile, so none is used" in said[0]
        assert of({"type": "int8", "profile": odd}).profile == "none"


def test_fields_may_hold_fields() -> None:
    field = of({"fields": {"a": {"type": "int8"}, "b": {"fields": {"c": {"type": "string"}}}}})
    assert field.dtype is None
    assert [inner.name for inner in field.fields] == ["a", "b"]
    assert field.fields[1].fields == (Field(name="c", dtype="string"),)


def test_the_signature_is_predict_unless_it_has_a_name() -> None:
    assert made(contract()).signature == "Predict"
    assert made(contract(name="infer")).signature == "infer"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ({"shape": "scalar"}, ".type"),
        ({"type": "Int"}, ".type"),
        ({"type": ["int8"]}, ".type"),
        ({"type": "bfloat16"}, ".type"),
        ({"type": "int8", "shape": "vector"}, ".shape"),
        ({"type": "int8", "shape": 3}, ".shape"),
        ({"type": "int8", "shape": [-2]}, ".shape"),
        ({"type": "int8", "shape": [1.5]}, ".shape"),
        ({"type": "int8", "shape": [True]}, ".shape"),
        ({"type": "int8", "shape": ["3"]}, ".shape"),
        ({"type": "int8", "shape": [1 << 30, 1 << 30]}, ".shape"),
        ({"type": "int8", "shape": [1] * 33}, ".shape"),
        ({"type": "int8", "fields": {"a": {"type": "int8"}}}, ""),
        ({"fields": {}}, ".fields"),
        ({"fields": {"a": 3}}, ".fields.a"),
        (None, ""),
        ([], ""),
    ],
)
def test_a_field_that_is_wrong_is_named(field: Any, wrong: str) -> None:
    assert fields(contract(inputs={"x": field})) == [INPUT + wrong]


def test_both_sides_have_fields() -> None:
    empty: Any
    for side in ("inputs", "outputs"):
        for empty in ({}, None):
            assert fields(contract(**{side: empty})) == [f"documents[0].contract.{side}"]
        assert fields(contract(**{side: [1]})) == [f"documents[0].contract.{side}"]
    assert fields(model(contract=None)) == ["documents[0].contract"]
    assert fields(model(contract="x")) == ["documents[0].contract"]
    assert fields(contract(name="")) == ["documents[0].contract.name"]
    assert fields(contract(name=5)) == ["documents[0].contract.name"]


def test_what_nobody_could_serve_is_bounded() -> None:
    deep: Any = {"type": "int8"}
    for _ in range(30):
        deep = {"fields": {"a": deep}}
    assert len(fields(contract(inputs={"x": deep}))) == 1
    many = {f"f{number}": {"type": "int8"} for number in range(1_001)}
    assert fields(contract(inputs=many))[0] == "documents[0].contract"
    assert len(fields(contract(inputs={"x" * 201: {"type": "int8"}}))) == 1
    assert len(fields(contract(inputs={"a\nb": {"type": "int8"}}))) == 1


def test_a_message_tells_where_the_document_is_written() -> None:
    _, wrong = read(model(), contract(inputs={"x": {"type": "int"}}, outputs={"y": {}}))
    assert wrong[0][0] == "documents[1].contract.outputs.y.type"
    assert wrong[0][1].startswith("file.yaml#2: is missing; allowed: bool")


def test_a_key_that_is_almost_right_is_named_where_the_right_one_is_missing() -> None:
    typo = model(contract={"input": {"x": NUMBER}, "outputs": {"y": {"typ": "int8"}}})
    said = dict(read(typo)[1])
    assert said["documents[0].contract.inputs"].endswith("; is input meant to be inputs?")
    assert said["documents[0].contract.outputs.y.type"].endswith("; is typ meant to be type?")
    assert "meant" not in str(read(model(contract={"outputs": {"y": NUMBER}, "z": 1}))[1])
