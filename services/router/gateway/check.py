"""Whether tensors are what a contract says, and all that is wrong when they aren't.

Types must be the same. Sizes of dimensions are compared one by one, as far as both go, so another
number of dimensions is not wrong by itself. A tensor without a shape is wrong where there must be
one. The elements must be as many as the tensor's own shape says, where -1 is any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from services.router.gateway.tensors import DIMENSIONS, Tensors, agrees, count, shape_of
from shared.contract import ANY, Field, matches, shown
from shared.hydrosphere import dtypes
from shared.hydrosphere.dtypes import DTYPE_OF, MAP, NUMBERS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

EMPTY: Final = 1 << 20  # lists without an element that a shape may be made of


def violations(fields: Iterable[Field], tensors: Tensors, at: str = "") -> Iterator[str]:
    """A line for each thing that is wrong. Tensors that no field names are not looked at."""
    for field in fields:
        where = at + field.name
        if field.name not in tensors:
            yield f"Missing '{where}' field"
        else:
            yield from _wrong(field, tensors[field.name], where)


def told(lines: Iterable[str]) -> str:
    return "\n".join(("Multiple validation errors:", *lines))


def _wrong(field: Field, tensor: TensorProto, at: str) -> Iterator[str]:
    wanted = MAP if field.dtype is None else NUMBERS[field.dtype]
    if tensor.dtype != wanted:
        have, want = dtypes.shown(tensor.dtype), dtypes.shown(wanted)
        yield f"Invalid '{at}' field: it is {have}, and {want} is expected"
        return
    shape = shape_of(tensor)
    if shape is None:
        if field.shape is not None:
            yield f"Invalid '{at}' field: it has no shape, and {shown(field.shape)} is expected"
    elif len(shape) > DIMENSIONS:
        yield f"Invalid '{at}' field: it has more than {DIMENSIONS} dimensions"
        return
    elif any(size < ANY for size in shape):
        yield f"Invalid '{at}' field: its shape {shown(shape)} has a negative size"
        return
    elif not matches(field.shape, shape):
        yield (
            f"Invalid '{at}' field: its shape is {shown(shape)},"
            f" and {shown(field.shape)} is expected"
        )
    if wanted == MAP:
        yield from violations(field.fields, tensor.map_val, f"{at}.")
    elif wanted in DTYPE_OF:
        yield from _miscounted(tensor, shape, at)


def _miscounted(tensor: TensorProto, shape: tuple[int, ...] | None, at: str) -> Iterator[str]:
    found = count(tensor)
    if found < 0:
        yield f"Invalid '{at}' field: its bytes are no whole number of elements"
    elif shape is not None and not agrees(found, shape):
        yield f"Invalid '{at}' field: it has {found} elements, and its shape is {shown(shape)}"
    elif shape is not None and not found and _lists(shape) > EMPTY:
        yield f"Invalid '{at}' field: its shape {shown(shape)} is of too many empty lists"


def _lists(shape: tuple[int, ...]) -> int:
    """How many lists a shape without elements is made of."""
    found, at_once = 0, 1
    for size in shape:
        if size <= 0:
            return found + at_once
        found += at_once
        at_once *= size
    return found
