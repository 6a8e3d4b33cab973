"""From a tensor on the wire to what a sketch counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from services.builder.profiles.categories import Categories
from services.builder.profiles.compare import Sketch
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts
from shared.contract import Field
from shared.hydrosphere.dtypes import LAYOUTS
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto

MOST: Final = 1_000_000  # elements of one tensor that are counted
WORDS: Final = ("string", "variant")


def add(sketch: Sketch, field: Field, tensor: bytes) -> None:
    """Count a serialized tensor of `field`. One that is not what the field says is left out."""
    try:
        found = TensorProto.FromString(tensor)
    except DecodeError:
        return
    if field.dtype is None or found.dtype != LAYOUTS[field.dtype].number:
        return
    if field.dtype in WORDS:
        texts = list(getattr(found, LAYOUTS[field.dtype].field))[:MOST]
        words = [text.decode("utf-8", "replace") for text in texts if isinstance(text, bytes)]
        if isinstance(sketch, Texts | Categories):
            sketch.add(words)
        return
    numbers = array_of(field, found)
    if isinstance(sketch, Numbers):
        sketch.add(numbers)
    elif isinstance(sketch, Categories):
        sketch.add(shown(number) for number in numbers.tolist())
    elif isinstance(sketch, Images):
        shape = [dim.size for dim in found.tensor_shape.dim]
        if numbers.size and min(shape, default=0) > 0 and math.prod(shape) == numbers.size:
            sketch.add(numbers.reshape(shape))


def leaf(tensors: Mapping[str, bytes], path: str) -> bytes | None:
    """The tensor `box.width`: that of `width` in the map `box`, if there is none of the whole name.

    A name may have dots of its own, so each dot is tried.
    """
    if (found := tensors.get(path)) is not None:
        return found
    for at in (n for n, letter in enumerate(path) if letter == "."):
        if (outer := tensors.get(path[:at])) is None:
            continue
        try:
            within = TensorProto.FromString(outer).map_val
        except DecodeError:
            continue
        inner = {name: one.SerializeToString() for name, one in within.items()}
        if (found := leaf(inner, path[at + 1 :])) is not None:
            return found
    return None


def array_of(field: Field, tensor: TensorProto) -> np.ndarray[Any, Any]:
    """The numbers of a tensor, flat."""
    assert field.dtype is not None
    layout = LAYOUTS[field.dtype]
    if tensor.tensor_content:
        whole = np.dtype(layout.code).itemsize
        content = tensor.tensor_content[: len(tensor.tensor_content) // whole * whole]
        numbers = np.frombuffer(content, dtype=np.dtype(layout.code).newbyteorder("<"))
    elif field.dtype == "float16":
        numbers = np.array(tensor.half_val, dtype=np.int64).astype(np.uint16).view(np.float16)
    else:
        numbers = np.array(getattr(tensor, layout.field))
    if layout.parts == 2:
        pairs = numbers[: numbers.size // 2 * 2].astype(np.float64).reshape(-1, 2)
        numbers = np.hypot(pairs[:, 0], pairs[:, 1])
    return numbers[:MOST]


def shown(value: Any) -> str | None:
    """A category as people write it: 3.0 is 3, and True is true.

    >>> shown(3.0), shown(2.5), shown(True), shown(float("nan"))
    ('3', '2.5', 'true', None)
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    return str(value)
