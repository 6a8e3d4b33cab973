"""A contract as bytes and back: a serialized `hydrosphere.contract.ModelContract`.

Runtimes read these bytes from /model/contract.protobin. The same contract always gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError

from shared.contract import ANY, PROFILE_NUMBERS, SIGNATURE, Contract, Field, Profile, Shape
from shared.hydrosphere.dtypes import DTYPE_OF, NUMBERS
from shared.protos.hydro_serving_grpc.contract.model_contract_pb2 import ModelContract
from shared.protos.hydro_serving_grpc.contract.model_field_pb2 import ModelField
from shared.protos.hydro_serving_grpc.contract.model_signature_pb2 import ModelSignature
from shared.protos.hydro_serving_grpc.tf.tensor_shape_pb2 import TensorShapeProto

PROFILE_OF: Final[dict[int, Profile]] = {number: name for name, number in PROFILE_NUMBERS.items()}
DEEPEST: Final = 32  # maps within maps


def encode(contract: Contract, model: str = "") -> bytes:
    return message(contract, model).SerializeToString()


def message(contract: Contract, model: str = "") -> ModelContract:
    return ModelContract(
        model_name=model,
        predict=ModelSignature(
            signature_name=contract.signature,
            inputs=[_to_field(field) for field in contract.inputs],
            outputs=[_to_field(field) for field in contract.outputs],
        ),
    )


def decode(data: bytes) -> Contract:
    """The contract that `data` is; ValueError says why it is none."""
    try:
        found = ModelContract.FromString(data)
    except DecodeError as error:
        raise ValueError("this is no serialized ModelContract") from error
    return Contract(
        signature=found.predict.signature_name or SIGNATURE,
        inputs=_from_fields(found.predict.inputs, "inputs"),
        outputs=_from_fields(found.predict.outputs, "outputs"),
    )


def shape_message(shape: Shape) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])


def _to_field(field: Field) -> ModelField:
    found = ModelField(name=field.name, profile=PROFILE_NUMBERS[field.profile])
    if field.shape is not None:
        found.shape.CopyFrom(shape_message(field.shape))
    if field.dtype is None:
        inner = [_to_field(subfield) for subfield in field.fields]
        found.subfields.CopyFrom(ModelField.Subfield(data=inner))
    else:
        found.dtype = NUMBERS[field.dtype]
    return found


def _from_fields(found: Iterable[ModelField], at: str, depth: int = 1) -> tuple[Field, ...]:
    if depth > DEEPEST:
        raise ValueError(f"{at} has maps within maps, more than {DEEPEST} deep")
    return tuple(_from_field(field, f"{at}.{field.name}", depth) for field in found)


def _from_field(found: ModelField, at: str, depth: int) -> Field:
    shape = None
    if found.HasField("shape") and not found.shape.unknown_rank:
        shape = tuple(dim.size for dim in found.shape.dim)
        if any(size < ANY for size in shape):
            raise ValueError(f"{at} has a dimension of {min(shape)}; {ANY} is for any size")
    # a profile that is not known here is no reason not to serve
    profile = PROFILE_OF.get(found.profile, "none")
    if found.WhichOneof("type_or_subfields") == "subfields":
        inner = _from_fields(found.subfields.data, at, depth + 1)
        return Field(name=found.name, shape=shape, profile=profile, fields=inner)
    if found.dtype not in DTYPE_OF:
        raise ValueError(f"{at} has the type {found.dtype}, which no contract can have")
    return Field(name=found.name, dtype=DTYPE_OF[found.dtype], shape=shape, profile=profile)
