"""Requests as they came over gRPC are read as the library reads them, however they are written."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.router.gateway import wire
from services.router.gateway.received import Received, received
from services.router.gateway.tensors import make
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest

INPUTS = {"a": make("float64", [0.5], ()), "größe": make("string", [b"x" * 300], ())}
PLAIN = PredictRequest(model_spec=ModelSpec(name="claims"), inputs=INPUTS).SerializeToString()
ONE = wire.parts({"a": INPUTS["a"]})["a"]


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def test_a_plain_request_is_read_once_and_goes_on_as_it_came() -> None:
    name, inputs = received(PLAIN)
    assert isinstance(inputs, Received)
    assert (name, inputs) == ("claims", INPUTS)
    again = b"".join(wire.parts(dict(inputs), inputs).values())
    assert PredictRequest.FromString(again).inputs == INPUTS
    assert all(bytes(part) in PLAIN for part in inputs.parts.values())


TENSOR = INPUTS["a"].SerializeToString()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ONE,
        ONE + ONE,
        field(2, field(2, TENSOR) + field(1, b"a")),
        field(2, field(1, b"a")),
        field(2, field(2, TENSOR)),
        field(2, b""),
        field(2, field(1, b"a") + field(2, TENSOR) + field(2, TENSOR)),
        field(2, field(1, b"a") + field(1, b"b") + field(2, TENSOR)),
        field(1, field(1, b"x")) + field(1, field(1, b"y")),
        ONE + field(9, b"?"),
        b"\x12\x80\x00",
        field(2, b"\x0a\x81\x00a" + field(2, TENSOR)),
    ],
)
def test_a_request_that_is_written_otherwise_means_the_same(data: bytes) -> None:
    asked = PredictRequest.FromString(data)
    assert received(data) == (asked.model_spec.name, dict(asked.inputs))


@given(data=st.binary(max_size=40), at=st.integers(0, len(PLAIN)))
@example(data=b"\xff" * 11, at=0)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_as_the_library_reads_it(data: bytes, at: int) -> None:
    for text in (data, PLAIN[:at] + data + PLAIN[at:], PLAIN[:at] + data):
        try:
            asked = PredictRequest.FromString(text)
        except DecodeError:
            with pytest.raises(ValueError, match="not a serialized PredictRequest"):
                received(text)
        else:
            name, inputs = received(text)
            assert (name, dict(inputs)) == (asked.model_spec.name, dict(asked.inputs))
