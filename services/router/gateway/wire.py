"""PredictRequest and PredictResponse as bytes.

A stage's tensors are serialized once, however many variants get them: a message is its parts, one
after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from services.router.gateway import pieces
from services.router.gateway.received import Received
from services.router.gateway.targets import Variant
from services.router.gateway.tensors import Tensors, varint
from shared.protos.hydro_serving_grpc.tf.api.model_pb2 import ModelSpec
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

PATH: Final = b"/tensorflow.serving.PredictionService/Predict"

_INPUT: Final = bytes([PredictRequest.INPUTS_FIELD_NUMBER << 3 | 2])
_NAME: Final = b"\x0a"  # of an entry of a map: its key ...
_VALUE: Final = b"\x12"  # ... and its value

Parts = Mapping[str, bytes | memoryview]


def parts(tensors: Tensors, among: Tensors | None = None) -> Parts:
    """Each tensor as it stands in a PredictRequest; as it came, where it is one `among` those."""
    came: Parts = among.parts if isinstance(among, Received) else {}
    return {
        name: came[name] if name in came else _part(name.encode(), tensor)
        for name, tensor in tensors.items()
    }


def _part(name: bytes, tensor: TensorProto) -> bytes:
    data = tensor.SerializeToString()
    key = _NAME + varint(len(name)) + name + _VALUE + varint(len(data))
    return b"%b%b%b%b" % (_INPUT, varint(len(key) + len(data)), key, data)


def head(variant: Variant) -> bytes:
    """The part that says whom it is for. A runtime may look at it."""
    asked = PredictRequest(
        model_spec=ModelSpec(name=variant.model, signature_name=variant.contract.signature)
    )
    if variant.version_name.isdecimal() and len(variant.version_name) < 19:
        asked.model_spec.version.value = int(variant.version_name)
    return asked.SerializeToString()


def request(variant: Variant, head: bytes, parts: Parts) -> bytes:
    """What `variant` takes of `parts`; the rest is dropped."""
    taken = [parts[field.name] for field in variant.contract.inputs if field.name in parts]
    return b"".join((head, *taken))


async def outputs(answer: bytes, variant: Variant) -> dict[str, TensorProto]:
    """What the contract has of the answer; the rest is dropped. ValueError: it is no answer."""
    if not await pieces.few(answer, PredictResponse):
        raise ValueError(f"its answer is made of more than the {pieces.MOST} pieces allowed")
    try:
        found = PredictResponse.FromString(answer).outputs
    except DecodeError as error:
        raise ValueError("its answer is not a PredictResponse") from error
    return _kept((field.name for field in variant.contract.outputs), found)


def _kept(names: Iterable[str], found: Tensors) -> dict[str, TensorProto]:
    return {name: found[name] for name in names if name in found}
