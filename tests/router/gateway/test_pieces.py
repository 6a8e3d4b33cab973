"""A message of very many pieces is refused before it is parsed; one of many elements is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.gateway import pieces
from services.router.gateway.tensors import DIMENSIONS, make, shape_of, varint
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.protos.inference_pb2 import ModelInferRequest

KIND = PredictRequest


def framed(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def request(tensor: bytes) -> bytes:
    return framed(2, framed(1, b"x") + framed(2, tensor))


MANY = pieces.MOST + 1


@pytest.mark.parametrize(
    "tensor",
    [
        framed(2, b"\x12\x00" * MANY),  # dimensions
        framed(8, b"") * MANY,  # strings
        b"\x3d\x00\x00\x80\x3f" * MANY,  # of fields that nobody knows
        b"\x98\x06\x01" * MANY,
    ],
    ids=["dimensions", "strings", "fixed", "varints"],
)
async def test_a_message_of_too_many_pieces_is_not_parsed(tensor: bytes) -> None:
    assert not await pieces.few(request(tensor), KIND)


async def test_inputs_by_the_million_are_too_many() -> None:
    asked = framed(5, b"") * MANY
    assert not await pieces.few(asked, ModelInferRequest)
    assert not await pieces.few(framed(2, b"") * MANY, KIND)


async def test_a_large_tensor_is_few_pieces() -> None:
    tensor = make("float64", [0.5] * 300_000, (-1,))
    asked = PredictRequest(inputs={"x": tensor}).SerializeToString()
    assert len(asked) > pieces.SMALL
    assert await pieces.few(asked, KIND)
    assert pieces.counted(asked, KIND, 12)


def test_pieces_are_those_of_all_that_is_inside() -> None:
    inner = TensorProto(dtype=7, string_val=[b"a", b"b", b"c"])
    asked = PredictRequest(inputs={"m": TensorProto(map_val={"k": inner})}).SerializeToString()
    # an input, its key and value; a value of the map, its key and value; dtype, three strings
    assert pieces.counted(asked, KIND, 10)
    assert not pieces.counted(asked, KIND, 9)


@given(st.binary(max_size=200))
def test_what_is_no_message_is_counted_as_far_as_it_goes(data: bytes) -> None:
    assert pieces.counted(data, KIND)
    assert pieces.counted(request(data), KIND)


def test_of_a_shape_no_more_is_told_than_a_tensor_may_have() -> None:
    tensor = TensorProto.FromString(framed(2, b"\x12\x00" * 5000))
    assert shape_of(tensor) == (0,) * (DIMENSIONS + 1)
