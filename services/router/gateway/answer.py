"""Tensors as the JSON that answers a request.

A tensor is lists in lists by its own shape; a scalar is a bare value; without a shape it is one
list. Complex numbers are two numbers each, as in mapping.py, so the innermost lists are twice as
long, and a scalar is [re, im]. Bytes that aren't UTF-8 become U+FFFD. JSON has no NaN and no
Infinity, and they are the strings "NaN", "Infinity" and "-Infinity", which mapping.py takes back.
A float32 is written as the double that it equals, and an int64 digit for digit.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf, isfinite, isnan, prod
from typing import Any, Final

import msgspec

from services.router.gateway.tensors import Tensors, count, elements, shape_of
from shared.contract import ANY, Field, Shape
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

MOST: Final = 1 << 24  # elements of a tensor


def to_json(tensors: Tensors, fields: Iterable[Field]) -> bytes:
    """Of tensors that `check` found nothing wrong with. Of a stage's models each gives its own
    fields, so one of `fields` that is not there is another's. ValueError: one can't be written."""
    with _uncollected():
        return msgspec.json.encode(_object(tensors, fields))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Lists in lists come by the ten thousand and go at once, without a cycle among them. The
    collector would walk through all there is for them, and take most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _object(tensors: Tensors, fields: Iterable[Field]) -> dict[str, Any]:
    return {
        field.name: _value(tensors[field.name], field) for field in fields if field.name in tensors
    }


def _value(tensor: TensorProto, field: Field) -> Any:
    if field.dtype is None:
        return _object(tensor.map_val, field.fields)
    if field.dtype == "variant":
        raise ValueError("a variant can't be written as JSON")
    layout = LAYOUTS[field.dtype]
    if (many := count(tensor)) > MOST:
        raise ValueError(f"`{field.name}` has {many} elements, and {MOST} are all that is written")
    found = elements(tensor)
    if layout.code in ("f", "d", "e") and not isfinite(sum(found)):
        found = [one if isfinite(one) else _word(one) for one in found]
    elif not layout.code:
        found = [one.decode("utf-8", "replace") for one in found]
    shape = shape_of(tensor)
    if shape is None:
        return found
    if not shape:
        return found if layout.parts > 1 else found[0]
    return _nested(found, _sizes(shape, len(found) // layout.parts), layout.parts)


def _word(one: float) -> str:
    return "NaN" if isnan(one) else "Infinity" if one == inf else "-Infinity"


def _sizes(shape: Shape, count: int) -> Shape | None:
    """The shape with the one size that it leaves open; None when it leaves more open."""
    if ANY not in shape:
        return shape
    if shape.count(ANY) > 1:
        return None
    known = prod([size for size in shape if size != ANY])
    return tuple([(count // known if known else 0) if size == ANY else size for size in shape])


def _nested(found: list[Any], shape: Shape | None, parts: int) -> list[Any]:
    if shape is None or len(shape) == 1:
        return found
    if not found:
        return _empty(shape)
    width = parts
    for size in reversed(shape[1:]):
        width *= size
        found = [found[at : at + width] for at in range(0, len(found), width)]
        width = 1
    return found


def _empty(shape: Shape) -> list[Any]:
    if not shape[0]:
        return []
    return [[] if len(shape) == 1 else _empty(shape[1:]) for _ in range(shape[0])]
