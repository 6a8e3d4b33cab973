"""From tensors as clients of the Open Inference Protocol send them to those of models: pure.

A client sends the elements as values (a JSON list, or a field of a message) or as bytes, row by
row, little-endian. Models get them in the one field that belongs to their type, since that is what
every runtime reads; only a great many whole numbers that came as bytes stay bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.router.gateway.tensors import make, shaped, varint
from services.router.inference.datatypes import DATATYPES, Datatype, datatype_of, shown
from services.router.inference.errors import bad
from shared.contract import DType, Field, Shape
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

RANK: Final = 64  # dimensions of a tensor
MANY: Final = 1 << 19  # elements that are read one by one

PACKED: Final = {"FP32": b"\x2a", "FP64": b"\x32", "BOOL": b"\x5a"}
"""Those whose elements stand in a serialized TensorProto as they stand in binary data, with the
number and kind of their field, which come before them there."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One input. `at` is how the client knows the place of it."""

    at: str
    name: str
    datatype: str
    shape: Shape
    raw: bytes | memoryview | None = None  # the elements as bytes, or ...
    values: Sequence[Any] = ()  # ... one by one: numbers, bools, or bytes


def messages(given: Sequence[Given], fields: Sequence[Field]) -> dict[str, TensorProto]:
    """Raises GatewayError. Whether shapes are those of the contract is not looked at here."""
    wanted = {field.name: field for field in fields}
    found: dict[str, TensorProto] = {}
    for each in given:
        if each.name in found:
            raise bad(f"{each.at}.name: the input {quoted(each.name)} comes twice")
        if (field := wanted.get(each.name)) is None:
            there = ", ".join(map(quoted, wanted))
            raise bad(f"{each.at}.name: there is no input {quoted(each.name)}; there are {there}")
        found[each.name] = _message(each, field)
    if missing := [quoted(name) for name in wanted if name not in found]:
        raise bad(f"inputs: {', '.join(missing)} missing")
    return found


def _message(given: Given, field: Field) -> TensorProto:
    kind = _kind(given, field.dtype)
    count = _count(given, field)
    shape = () if field.shape == () else given.shape
    assert field.dtype is not None  # or it had no datatype
    if given.raw is None:
        return _of_values(given, given.values, field.dtype, count, shape)
    if not kind.size:
        if count > MANY:
            raise bad(f"{given.at}.shape: {count} elements of BYTES; {MANY} are allowed")
        return _of_values(given, _strings(given, given.raw, count), field.dtype, count, shape)
    if len(given.raw) != count * kind.size:
        raise bad(
            f"{given.at}: {len(given.raw)} bytes came; {count} elements of {kind.name} are "
            f"{count * kind.size}"
        )
    return _of_bytes(given, given.raw, kind, field.dtype, shape)


def _kind(given: Given, dtype: DType | None) -> Datatype:
    kind = DATATYPES.get(given.datatype)
    if kind is None:
        every = ", ".join(DATATYPES)
        raise bad(f"{given.at}.datatype: {quoted(given.datatype)} is not one of {every}")
    wanted = datatype_of(dtype)
    if wanted is None:
        raise bad(
            f"{given.at}: {quoted(given.name)} is {shown(dtype)}, which this protocol can't send; "
            "ask at /gateway, or by PredictionService"
        )
    if kind is not wanted:
        raise bad(
            f"{given.at}.datatype: {quoted(given.name)} is {wanted.name}, and {kind.name} came"
        )
    return kind


def _count(given: Given, field: Field) -> int:
    if len(given.shape) > RANK:
        raise bad(f"{given.at}.shape: {len(given.shape)} dimensions; {RANK} are allowed")
    if any(size < 0 for size in given.shape):
        raise bad(f"{given.at}.shape: {min(given.shape)} is less than 0")
    count = math.prod(given.shape)
    if field.shape == () and count != 1:
        raise bad(f"{given.at}.shape: {quoted(given.name)} is one value, and {count} came")
    return count


def _of_values(
    given: Given, values: Sequence[Any], dtype: DType, count: int, shape: Shape
) -> TensorProto:
    if len(values) != count:
        raise bad(
            f"{given.at}.data: {len(values)} elements came; the shape {list(given.shape)} has "
            f"{count}"
        )
    try:
        return make(dtype, values, shape)
    except OverflowError:
        span = DATATYPES[given.datatype].span
        within = f", {span[0]} to {span[1]}" if span else ""
        raise bad(
            f"{given.at}.data: an element is out of range for {given.datatype}{within}"
        ) from None


def _of_bytes(
    given: Given, raw: bytes | memoryview, kind: Datatype, dtype: DType, shape: Shape
) -> TensorProto:
    layout = LAYOUTS[dtype]
    found = TensorProto(dtype=layout.number, tensor_shape=shaped(shape))
    if kind.name == "BOOL" and bytes(raw).translate(None, b"\x00\x01"):
        raise bad(f"{given.at}: a byte of BOOL is neither 0 nor 1")
    if tag := PACKED.get(kind.name):
        if raw:
            found.MergeFromString(b"".join((tag, varint(len(raw)), raw)))
    elif len(raw) > MANY * kind.size:
        found.tensor_content = bytes(raw)
    else:
        code = "H" if layout.code == "e" else layout.code  # FP16 as its 16 bits
        getattr(found, layout.field).extend(memoryview(raw).cast(code))  # type: ignore[call-overload]
    return found


def _strings(given: Given, raw: bytes | memoryview, count: int) -> list[bytes]:
    """`raw` holds each with its length before it, in four bytes. Not many more than `count`."""
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) <= count:
        start = at + 4
        at = start + int.from_bytes(raw[at:start], "little")
        if start > len(raw) or at > len(raw):
            raise bad(f"{given.at}: an element of BYTES is cut short")
        found.append(bytes(raw[start:at]))
    return found


def quoted(name: str) -> str:
    return f"'{name[:100]}'"
