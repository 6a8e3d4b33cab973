"""JSON to tensors and back: by the rules, and against numpy for every type."""

from __future__ import annotations

import json
from math import prod
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from services.router.gateway import mapping, values
from services.router.gateway.answer import to_json
from services.router.gateway.check import violations
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.mapping import to_tensors
from services.router.gateway.tensors import elements, shape_of
from shared.contract import DTYPES, DType, Field, Shape
from shared.hydrosphere.dtypes import NUMBERS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.gateway.conftest import field

NUMPY = {"qint8": "int8", "qint16": "int16", "qint32": "int32", "quint8": "uint8"} | {
    "quint16": "uint16"
}
NUMBERS_OF = [one for one in DTYPES if one not in ("string", "variant")]
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def kind(dtype: DType) -> np.dtype[Any]:
    return np.dtype(NUMPY.get(dtype, dtype))


def mapped(one: Field, value: Any) -> TensorProto:
    return to_tensors(msgspec.json.encode({one.name: value}), [one])[one.name]


def tried(body: bytes, one: Field) -> TensorProto | GatewayError:
    try:
        return to_tensors(body, [one])[one.name]
    except GatewayError as error:
        return error


def refused(one: Field, value: Any) -> str:
    body = value if isinstance(value, bytes) else msgspec.json.encode({one.name: value})
    with pytest.raises(GatewayError) as caught:
        to_tensors(body, [one])
    assert caught.value.status == 400
    return caught.value.information


def shown(one: Field, tensor: TensorProto) -> Any:
    """What a client reads. Python's reader takes no NaN here, as others don't."""

    def no(word: str) -> None:
        raise AssertionError(word)

    return json.loads(to_json({one.name: tensor}, [one]), parse_constant=no)[one.name]


def plain(array: np.ndarray[Any, Any]) -> Any:
    """As our JSON has it: complex numbers as pairs, side by side, and words for what isn't finite."""
    if array.dtype.kind == "c":
        parts = np.stack([array.real, array.imag], axis=-1)
        shape = (*array.shape[:-1], 2 * array.shape[-1]) if array.ndim else (2,)
        array = parts.reshape(shape)
    return words(array.tolist())


def words(value: Any) -> Any:
    if isinstance(value, list):
        return [words(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@given(st.data(), st.sampled_from(NUMBERS_OF), SHAPES)
def test_what_numpy_has_goes_to_a_tensor_and_comes_back(
    data: st.DataObject, dtype: DType, shape: Shape
) -> None:
    array = data.draw(npst.arrays(kind(dtype), shape))
    one = field("x", dtype, shape)
    tensor = mapped(one, plain(array))
    assert tensor.dtype == NUMBERS[dtype]
    assert shape_of(tensor) == shape
    assert not list(violations([one], {"x": tensor}))
    assert shown(one, tensor) == plain(array)


@given(st.data(), st.sampled_from(NUMBERS_OF), SHAPES)
def test_a_tensor_of_bytes_reads_like_one_of_values(
    data: st.DataObject, dtype: DType, shape: Shape
) -> None:
    array = data.draw(npst.arrays(kind(dtype), shape))
    one = field("x", dtype, shape)
    tensor = mapped(one, plain(array))
    packed = TensorProto(
        dtype=tensor.dtype, tensor_shape=tensor.tensor_shape, tensor_content=array.tobytes()
    )
    assert not list(violations([one], {"x": packed}))
    assert shown(one, packed) == shown(one, tensor)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_strings_travel_as_utf8(values: list[str]) -> None:
    one = field("x", "string", (-1,))
    tensor = mapped(one, values)
    assert list(tensor.string_val) == [value.encode() for value in values]
    assert shown(one, tensor) == values


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        ),
        max_leaves=8,
    ),
    st.sampled_from(DTYPES),
    st.sampled_from([None, (), (2,), (-1,), (2, -1), (-1, -1)]),
)
def test_any_value_becomes_a_tensor_that_fits_or_gets_its_error(
    value: Any, dtype: DType, shape: Shape | None
) -> None:
    one = field("x", dtype, shape)
    tensor = tried(msgspec.json.encode({"x": value}), one)
    if isinstance(tensor, GatewayError):
        assert tensor.status == 400
        assert "'x' field" in tensor.information or "body" in tensor.information
    else:
        assert not list(violations([one], {"x": tensor}))
        shown(one, tensor)


@given(
    st.recursive(
        st.integers(-5, 5) | st.floats(-5, 5) | st.booleans(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=10,
    ),
    st.sampled_from(["int8", "float64", "bool"]),
    st.sampled_from([None, (), (2,), (-1,)]),
)
def test_the_quick_way_and_the_slow_one_agree(
    value: Any, dtype: DType, shape: Shape | None
) -> None:
    quick = mapping._quickly(msgspec.json.encode(value), values.family(dtype), shape)
    if quick is not None:
        assert quick == values.elements(value, dtype, shape, "x")


@given(st.binary(max_size=40))
def test_no_body_is_worse_than_a_bad_request(body: bytes) -> None:
    for text in (body, b'{"x":' + body + b"}", b'{"x":[' + body + b"]}"):
        found = tried(text, field("x", "float32", None))
        if isinstance(found, GatewayError):
            assert found.status == 400
        else:
            assert json.loads(text)["x"] is not None


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "expected"),
    [
        ("float64", (), 1.5, [1.5]),
        ("float64", (), [1.5], [1.5]),
        ("float32", (), 3, [3.0]),
        ("int32", (), 1.9, [1]),
        ("int32", (), -1.9, [-1]),
        ("int64", (), [1e3], [1000]),
        ("bool", (), [True], [True]),
        ("string", (), "a", [b"a"]),
        ("int8", (2, 2), [1, 2, 3, 4], [1, 2, 3, 4]),
        ("int8", (4,), [[1, 2], [[3], 4]], [1, 2, 3, 4]),
        ("int8", (2, 2), [[[]], [1, 2, 3], 4, []], [1, 2, 3, 4]),
        ("int8", (-1, 2), [[1, 2], [3, 4], [5, 6]], [1, 2, 3, 4, 5, 6]),
        ("int8", (-1,), [], []),
        ("int8", None, 7, [7]),
        ("int8", None, [[7], 8], [7, 8]),
        ("uint64", (), 18446744073709551615, [18446744073709551615]),
        ("complex64", (), [1, -2], [1.0, -2.0]),
        ("complex128", (2,), [[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]),
        ("float32", (2,), ["Infinity", "-Infinity"], [float("inf"), float("-inf")]),
        ("string", (2,), ["[", "]"], [b"[", b"]"]),
    ],
)
def test_values_are_taken_as_the_rules_say(
    dtype: DType, shape: Shape | None, value: Any, expected: list[Any]
) -> None:
    tensor = mapped(field("x", dtype, shape), value)
    assert elements(tensor) == expected
    assert shape_of(tensor) == shape


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "told"),
    [
        ("float64", (), None, "it has null"),
        ("float64", (2,), [1, None], "it has null"),
        ("float64", (), "1", "it has a string"),
        ("float64", (), "nan", "it has a string"),
        ("float64", (), True, "it has a bool"),
        ("int32", (), "NaN", "it has a string"),
        ("bool", (), 1, "it has a number"),
        ("string", (), 1, "it has a number"),
        ("int32", (), {}, "it has an object"),
        ("int32", (2,), [1, {"a": 1}], "it has an object"),
        ("int32", (2,), 1, "where a list of int32 is expected"),
        ("int32", (), [[1]], "lists in a list"),
        ("int32", (), [1, 2], "2 elements, and the shape is scalar"),
        ("int32", (), [], "0 elements"),
        ("int32", (3,), [1, 2], "2 elements, and the shape is [3]"),
        ("int32", (-1, 2), [1, 2, 3], "3 elements, and the shape is [-1, 2]"),
        ("uint8", (), -1, "-1 is out of range for uint8, 0 to 255"),
        ("uint8", (), 256, "256 is out of range"),
        ("int64", (), 1 << 63, "out of range"),
        ("int64", (), 1e300, "out of range"),
        ("float32", (), 1e39, "out of range for float32"),
        ("float16", (), 70000, "out of range for float16"),
        ("float64", (), 10**400, "out of range"),
        ("complex64", (), [1, 2, 3], "two numbers"),
        ("complex64", (), 1, "two numbers"),
        ("variant", (), 1, "a variant can't be sent as JSON"),
    ],
)
def test_what_is_wrong_is_told_with_the_field(
    dtype: DType, shape: Shape | None, value: Any, told: str
) -> None:
    information = refused(field("x", dtype, shape), value)
    assert "'x' field" in information
    assert told in information


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"x":1', "not valid JSON"),
        (b'{"x":1} 2', "not valid JSON"),
        (b'{"x":NaN}', "not valid JSON"),
        (b'{"x":"\xff"}', "x"),
        (b'{"x":' + b"[" * 100_000, "nested too deep"),
        (b'{"x":' + b"[" * 500 + b"null" + b"]" * 500 + b"}", "more than 64 deep"),
        (b'{"y":1}', "Missing 'x' field"),
    ],
)
def test_a_body_that_is_none_is_a_bad_request(body: bytes, told: str) -> None:
    assert told in refused(field("x", "float32", None), body)


def test_lists_that_are_nested_too_deep_are_refused_at_leisure() -> None:
    value: Any = "a"
    for _ in range(100):
        value = [value]
    assert "more than 64 deep" in refused(field("x", "string", None), value)


def test_more_values_than_are_read_are_refused_before_any_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mapping, "MOST", 3)
    assert elements(mapped(field("x", "int8", (-1,)), [1, 2, 3])) == [1, 2, 3]
    found = tried(b'{"x":[1,2,3,4]}', field("x", "int8", (-1,)))
    assert isinstance(found, GatewayError)
    assert found.kind is Kind.TOO_LARGE


def test_extra_keys_are_skipped_and_of_two_the_last_counts() -> None:
    found = to_tensors(b'{"x":1,"y":{"z":[null]},"x":2}', [field("x", "int32")])
    assert list(found) == ["x"]
    assert list(found["x"].int_val) == [2]


def test_a_map_is_an_object_with_fields_of_its_own() -> None:
    one = Field(name="m", fields=(field("a", "int32"), field("b", "string", (-1,))))
    tensor = mapped(one, {"a": 1, "b": ["x"], "c": None})
    assert set(tensor.map_val) == {"a", "b"}
    assert not list(violations([one], {"m": tensor}))
    assert shown(one, tensor) == {"a": 1, "b": ["x"]}
    assert refused(one, {"a": 1}) == "Missing 'm.b' field"
    assert "'m.a' field" in refused(one, {"a": "?", "b": []})
    assert "not an object" in refused(one, 1)
    assert shown(one, mapped(one, [{"a": 1, "b": []}])) == {"a": 1, "b": []}


def test_sizes_that_nobody_could_find_later_are_given() -> None:
    one = field("x", "uint8", (-1, -1, 3))
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert shape_of(mapped(one, image.tolist())) == (2, 4, 3)
    assert shape_of(mapped(one, image.ravel().tolist())) == (-1, -1, 3)


@given(SHAPES)
def test_a_size_that_is_left_open_is_found_in_the_answer(shape: Shape) -> None:
    if prod(shape) == 0 or not shape:
        return
    array = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    one = field("x", "int32", (-1, *shape[1:]))
    assert shown(one, mapped(one, array.tolist())) == array.tolist()


def test_without_a_shape_the_answer_is_one_list() -> None:
    one = field("x", "int32", None)
    assert shown(one, mapped(one, [[1, 2], [3, 4]])) == [1, 2, 3, 4]


def test_bytes_that_are_no_text_are_marked() -> None:
    tensor = TensorProto(dtype=NUMBERS["string"], string_val=[b"a\xff"])
    assert shown(field("x", "string", None), tensor) == ["a�"]
