"""What is wrong with a tensor is all told at once."""

from __future__ import annotations

import pytest

from services.router.gateway.check import told, violations
from services.router.gateway.tensors import make, shaped
from shared.contract import DType, Field, Shape
from shared.hydrosphere.dtypes import MAP, NUMBERS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from tests.router.gateway.conftest import field


def wrong(one: Field, tensor: TensorProto | None) -> list[str]:
    return list(violations([one], {} if tensor is None else {one.name: tensor}))


@pytest.mark.parametrize(
    ("wanted", "given", "count"),
    [
        ((), (), 1),
        ((2, 3), (2, 3), 6),
        ((-1, 3), (7, 3), 21),
        ((-1, 1), (5,), 5),  # as models that are in use answer
        ((5,), (5, 1), 5),
        ((3,), (-1,), 3),
        (None, (2, 2), 4),
        (None, None, 4),
        ((-1,), (0,), 0),
    ],
)
def test_sizes_are_compared_as_far_as_both_go(
    wanted: Shape | None, given: Shape | None, count: int
) -> None:
    assert not wrong(field("x", "int32", wanted), make("int32", [0] * count, given))


@pytest.mark.parametrize(
    ("wanted", "dtype", "given", "count", "line"),
    [
        ((), "float32", (), 1, "it is float32, and int32 is expected"),
        ((), "int64", (), 1, "it is int64, and int32 is expected"),
        ((2,), "int32", (3,), 3, "its shape is [3], and [2] is expected"),
        ((2,), "int32", None, 2, "it has no shape, and [2] is expected"),
        ((), "int32", None, 1, "it has no shape, and scalar is expected"),
        ((-1,), "int32", (3,), 2, "it has 2 elements, and its shape is [3]"),
        ((), "int32", (), 0, "it has 0 elements"),
        (None, "int32", (-2,), 2, "negative"),
        (None, "int32", (1,) * 65, 1, "more than 64 dimensions"),
        (None, "int32", (1 << 40, 0), 0, "too many empty lists"),
        (None, "int32", (1 << 62, 1 << 62), 0, "it has 0 elements"),
    ],
)
def test_what_is_wrong_is_said(
    wanted: Shape | None, dtype: DType, given: Shape | None, count: int, line: str
) -> None:
    (found,) = wrong(field("x", "int32", wanted), make(dtype, [0] * count, given))
    assert found.startswith("Invalid 'x' field: ")
    assert line in found


def test_all_that_is_wrong_is_told_in_one_text() -> None:
    fields = [field("a"), field("b", "int32"), field("c", "string", (2,))]
    tensors = {"b": make("bool", [True], ()), "c": make("string", [b""], (3,)), "d": TensorProto()}
    lines = told(violations(fields, tensors)).split("\n")
    assert lines[:2] == ["Multiple validation errors:", "Missing 'a' field"]
    assert len(lines) == 5


def test_bytes_are_counted_too() -> None:
    one = field("x", "int32", (2,))
    tensor = TensorProto(
        dtype=NUMBERS["int32"], tensor_shape=shaped((2,)), tensor_content=b"1234567"
    )
    assert "no whole number" in wrong(one, tensor)[0]
    tensor.tensor_content = b"12345678"
    assert not wrong(one, tensor)
    text = TensorProto(dtype=NUMBERS["string"], tensor_shape=shaped(()), tensor_content=b"1")
    assert "no whole number" in wrong(field("x", "string"), text)[0]


def test_half_of_a_complex_number_is_none() -> None:
    tensor = TensorProto(dtype=NUMBERS["complex64"], tensor_shape=shaped(()), scomplex_val=[1.0])
    assert wrong(field("x", "complex64"), tensor)


def test_maps_are_looked_into() -> None:
    one = Field(name="m", fields=(field("a", "int32"), field("b")))
    tensor = TensorProto(dtype=MAP, map_val={"a": make("bool", [True], ())})
    assert wrong(one, tensor) == [
        "Invalid 'm.a' field: it is bool, and int32 is expected",
        "Missing 'm.b' field",
    ]
    assert "a map is expected" in wrong(one, make("int32", [1], ()))[0]


def test_types_that_nobody_knows_are_named_by_their_number() -> None:
    assert "type 14" in wrong(field("x"), TensorProto(dtype=14))[0]
