"""From tensors as models give them to those of the Open Inference Protocol: pure."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

import msgspec

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.tensors import agrees, count, elements, shape_of
from services.router.inference.datatypes import Datatype, datatype_of, shown
from services.router.inference.errors import bad
from services.router.inference.given import PACKED, quoted
from shared.contract import ANY, Shape
from shared.hydrosphere.dtypes import DTYPE_OF, LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

CHUNK: Final = 1 << 16  # elements that are written at a time: others may go on in between


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a model. Reading it raises GatewayError when it isn't what it says it is."""

    name: str
    datatype: Datatype
    shape: Shape
    message: TensorProto

    def values(self) -> list[Any]:
        """The elements one by one: numbers, bools, or bytes."""
        try:
            return elements(self.message)
        except ValueError as error:
            raise self._lie() from error

    def raw(self) -> bytes:
        """The elements, row by row, little-endian."""
        if not self.datatype.size:
            return b"".join(
                len(each).to_bytes(4, "little") + each for each in self.message.string_val
            )
        if content := self.message.tensor_content:
            return content
        layout = LAYOUTS[self.datatype.dtype]
        found = getattr(self.message, layout.field)
        if self.datatype.name in PACKED:
            alone = TensorProto()
            getattr(alone, layout.field).MergeFrom(found)
            return _unframed(alone.SerializeToString())
        code = "H" if layout.code == "e" else layout.code
        try:
            return b"".join(
                array(code, found[at : at + CHUNK]).tobytes() for at in range(0, len(found), CHUNK)
            )
        except OverflowError as error:
            raise self._lie() from error

    @property
    def count(self) -> int:
        return count(self.message)

    def _lie(self) -> GatewayError:
        what = f"The output {quoted(self.name)} has elements that are not {self.datatype.name}"
        return GatewayError(Kind.MODEL, what)


def told(name: str, message: TensorProto) -> Told:
    """Of a tensor that agrees with its contract. Raises GatewayError when nobody can say it."""
    dtype = DTYPE_OF.get(message.dtype)
    kind = datatype_of(dtype)
    if kind is None:
        raise bad(
            f"The output {quoted(name)} is {shown(dtype)}, which this protocol can't send; name "
            "those that you want in `outputs`, or ask at /gateway, or by PredictionService"
        )
    return Told(name=name, datatype=kind, shape=_shape(message), message=message)


def _shape(message: TensorProto) -> Shape:
    """The tensor's own, with one open size reckoned; where that can't be, it is one list."""
    found, shape = count(message), shape_of(message)
    if shape is None or shape.count(ANY) > 1 or not agrees(found, shape):
        return (found,)
    known = math.prod(size for size in shape if size != ANY)
    return tuple((found // known if known else 0) if size == ANY else size for size in shape)


def _unframed(data: bytes) -> bytes:
    """The elements of a serialized message that has nothing but one packed field."""
    at = 1
    while at < len(data) and data[at] & 0x80:
        at += 1
    return data[at + 1 :]
