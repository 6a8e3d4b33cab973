"""A body of JSON as the tensors that a contract wants.

The body is an object with a value for each input; keys that no input has are skipped, and of a key
that is written twice the last counts. A value is lists in lists, however nested: they are
flattened, and only the number of elements is compared with the shape. Where the shape is a
scalar it is `x` or `[x]`; where there is none, either. The tensor gets the contract's shape, -1
included; only where more than one size is -1, and the lists are regular, the sizes are theirs,
since nobody could find them later.

- ints: numbers; what is behind the point is dropped. Out of the type's range is an error
- floats: numbers, and "NaN", "Infinity" and "-Infinity", which JSON has no numbers for
- float16, quantized types and bools alike; a bool is no number, and a number no bool
- complex: two numbers for each, real and imaginary, side by side: [re, im] for a scalar
- string: strings, which become UTF-8
- a map: an object with a value for each of its fields
- variant can't be sent as JSON; null is nothing's value

The quick way: a field's text is found but not read; without its inner brackets it is one list of
numbers, which msgspec reads strictly; many floats simdjson reads. What can't be read so is read at
leisure, and either is one of the above or gets its error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.router.gateway import values
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.floats import floats
from services.router.gateway.tensors import RANGES, agrees, make, make_map
from services.router.gateway.values import Family, bad, word
from shared.contract import ANY, DType, Field, Shape, shown
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

MOST: Final = 1 << 24  # values in a body
PIECES: Final = 1 << 15  # strings and lists that are soon read

_rows: Final[dict[Family, msgspec.json.Decoder[Any]]] = {
    "int": msgspec.json.Decoder(list[int]),
    "float": msgspec.json.Decoder(list[float]),
    "bool": msgspec.json.Decoder(list[bool]),
}
_ones: Final[dict[Family, msgspec.json.Decoder[Any]]] = {
    "int": msgspec.json.Decoder(int),
    "float": msgspec.json.Decoder(float),
    "bool": msgspec.json.Decoder(bool),
    "string": msgspec.json.Decoder(str),
}
_any: Final = msgspec.json.Decoder()

_UNREAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Slow(Exception):
    """It can be read at leisure alone, and there is none."""


def to_tensors(
    body: bytes, fields: Iterable[Field], *, leisure: int | None = None
) -> dict[str, TensorProto]:
    """A tensor for each of `fields`. Raises GatewayError that names the field, or what the body is.

    Whatever the body is, no more than MOST values are made of it. Raises Slow when more than
    `leisure` bytes of it can't be read quickly.
    """
    if len(body) >= 2 * MOST and body.count(b",") >= MOST:
        text = f"The body has more than {MOST} values, which is all that is read as JSON."
        raise GatewayError(Kind.TOO_LARGE, text)
    try:
        return _tensors(body, tuple(fields), "", leisure)
    except msgspec.ValidationError as error:
        raise bad("The body must be a JSON object with a value for each input.") from error
    except _UNREAD as error:
        raise bad(f"The body is not valid JSON: {_why(error)}") from error


def _tensors(
    text: bytes, fields: tuple[Field, ...], at: str, leisure: int | None
) -> dict[str, TensorProto]:
    found = msgspec.structs.astuple(_reader(tuple([field.name for field in fields])).decode(text))
    tensors = {}
    for field, raw in zip(fields, found, strict=True):
        value = bytes(raw)
        if not value:
            raise bad(f"Missing '{at}{field.name}' field")
        tensors[field.name] = _tensor(value, field, at + field.name, leisure)
    return tensors


@lru_cache(maxsize=1024)
def _reader(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Finds the texts of the values of these keys; the others are skipped and never made."""
    kind = msgspec.defstruct(
        "Inputs",
        [(f"f{n}", msgspec.Raw, msgspec.Raw()) for n in range(len(names))],
        rename={f"f{n}": name for n, name in enumerate(names)},
    )
    return msgspec.json.Decoder(kind)


def _tensor(text: bytes, field: Field, at: str, leisure: int | None) -> TensorProto:
    dtype = field.dtype
    if dtype is None:
        return _map(text, field, at, leisure)
    if dtype == "variant":
        raise bad(f"Invalid '{at}' field: a variant can't be sent as JSON")
    layout = LAYOUTS[dtype]
    shape = field.shape
    large = leisure is not None and len(text) > leisure
    whose = values.family(dtype)
    if large and (
        text.count(b'"') + text.count(b"[") > PIECES
        if whose == "string"
        else shape is not None and shape.count(ANY) > 1
    ):
        raise Slow
    elements = _quickly(text, whose, shape)
    if elements is None and large and whose != "string":
        raise Slow
    if elements is None:
        elements = values.elements(_read(text, at), dtype, shape, at)
    if len(elements) % layout.parts:
        raise bad(f"Invalid '{at}' field: {dtype} takes two numbers for each element")
    count = len(elements) // layout.parts
    if shape is not None:
        if not agrees(count, shape):
            raise bad(
                f"Invalid '{at}' field: it has {count} elements, and the shape is {shown(shape)}"
            )
        if shape.count(ANY) > 1:
            shape = _seen(_read(text, at), shape, layout.parts)
    try:
        return make(dtype, elements, shape)
    except OverflowError as error:
        raise bad(f"Invalid '{at}' field: {_outside(dtype, elements)}") from error


def _quickly(text: bytes, family: Family, shape: Shape | None) -> Sequence[Any] | None:
    """The elements, if they are what they should be to the letter; else None."""
    try:
        if text[:1] != b"[":
            if shape:
                return None
            one = _ones[family].decode(text)
            return [one.encode() if family == "string" else one]
        if family == "string" or (shape == () and text.count(b"[") > 1):
            return None
        if family == "float" and (found := floats(text)) is not None:
            return found
        flat = b"[%b]" % text.replace(b"[", b"").replace(b"]", b"")
        return _rows[family].decode(flat)  # type: ignore[no-any-return]
    except (*_UNREAD, UnicodeEncodeError):
        return None


def _read(text: bytes, at: str) -> Any:
    try:
        return _any.decode(text)
    except _UNREAD as error:
        raise bad(f"Invalid '{at}' field: {_why(error)}") from error


def _map(text: bytes, field: Field, at: str, leisure: int | None) -> TensorProto:
    if field.shape:
        raise bad(f"Invalid '{at}' field: only one map can be sent as JSON")
    if text[:1] == b"[":
        if leisure is not None and len(text) > leisure:
            raise Slow
        rows = _read(text, at)
        if len(rows) != 1:
            raise bad(f"Invalid '{at}' field: {len(rows)} values, where one object is expected")
        text = text[1:-1]
    if text.strip()[:1] != b"{":
        raise bad(f"Invalid '{at}' field: {word(_read(text, at))}, not an object")
    return make_map(_tensors(text, field.fields, f"{at}.", leisure))


def _seen(value: Any, shape: Shape, parts: int) -> Shape:
    """The sizes of regular lists, where they are as the shape says; else the shape."""
    sizes: list[int] = []
    level = value
    while type(level) is list and len(sizes) < len(shape):
        sizes.append(len(level))
        if {len(one) if type(one) is list else -1 for one in level} - {
            len(level[0]) if level and type(level[0]) is list else -1
        }:
            return shape
        level = level[0] if level else None
    if sizes and parts > 1:
        sizes[-1] //= parts
    seen = tuple(sizes)
    fit = len(seen) == len(shape) and all(
        want in (ANY, have) for want, have in zip(shape, seen, strict=True)
    )
    return seen if fit else shape


def _outside(dtype: DType, elements: Sequence[Any]) -> str:
    if found := RANGES.get(LAYOUTS[dtype].code):
        low, high = found
        odd = next(one for one in elements if not low <= one <= high)
        shown = odd if abs(odd) < 1 << 70 else "an element"
        return f"{shown} is out of range for {dtype}, {low} to {high}"
    return f"an element is out of range for {dtype}"


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)
