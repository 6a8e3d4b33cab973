"""A PredictRequest as it came over gRPC: its tensors, and the bytes of it that each of them is.

A tensor is read to be held against the contract, and goes on to the model as it came: to write a
large one anew takes longer than all the rest of the way.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from services.router.gateway.tensors import Tensors
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

SPEC: Final = 0x0A  # of a PredictRequest: model_spec ...
INPUT: Final = 0x12  # ... and an entry of inputs
KEY: Final = 0x0A  # of an entry
VALUE: Final = 0x12
LONGEST: Final = 5  # bytes of a length
MOST: Final = 1_000  # inputs that are told apart here


class Received(dict[str, TensorProto]):
    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, memoryview] = {}  # as each stands in the request, all of its entry


def received(data: bytes) -> tuple[str, Tensors]:
    """Whom a request is for, and its inputs. ValueError: it is no PredictRequest."""
    try:
        return _plain(data)
    except (DecodeError, IndexError, ValueError):  # it is written in another way, or it is none
        try:
            asked = PredictRequest.FromString(data)
        except DecodeError as error:
            raise ValueError("this is not a serialized PredictRequest") from error
        return asked.model_spec.name, asked.inputs


def _plain(data: bytes) -> tuple[str, Received]:
    """Of a request as libraries write it: no field twice, and of an entry first the key."""
    view, found, spec = memoryview(data), Received(), b""
    at = 0
    while at < len(data):
        begin, field = at, data[at]
        at, end = _span(data, at + 1)
        if field == INPUT and data[at] == KEY:
            start, stop = _span(data, at + 1)
            name = data[start:stop].decode()
            first, last = _span(data, stop + 1)
            if data[stop] != VALUE or last != end or name in found or len(found) >= MOST:
                raise ValueError
            found[name] = TensorProto.FromString(view[first:last])  # type: ignore[arg-type]
            found.parts[name] = view[begin:end]
        elif field == SPEC and not spec:
            spec = data[at:end]
        else:
            raise ValueError
        at = end
    return ModelSpec.FromString(spec).name, found


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Where what has its length at `at` begins and ends."""
    length = 0
    for shift in range(LONGEST):
        byte = data[at + shift]
        length |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            begin = at + shift + 1
            if begin + length > len(data):
                raise ValueError
            return begin, begin + length
    raise ValueError
