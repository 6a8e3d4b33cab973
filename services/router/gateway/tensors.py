"""Tensors as values of Python, without numpy: elements in, elements out.

`*_val` fields are packed on the wire: floats of a fixed size, little-endian, one after the other.
So floats are laid out by `struct`, which also says when one is too large, and merged as they are.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

from shared.contract import ANY, DType, Shape
from shared.hydrosphere.dtypes import DTYPE_OF, LAYOUTS, MAP, Layout
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.protos.hydro_serving_grpc.tf.tensor_shape_pb2 import TensorShapeProto

assert sys.byteorder == "little", "elements are laid out as this machine has them"

Tensors = Mapping[str, TensorProto]

DIMENSIONS: Final = 64  # that a tensor may have

SIZES: Final = {code: struct.calcsize(f"<{code}") for code in "fdeiIhHbBqQ?"}
RANGES: Final[dict[str, tuple[int, int]]] = {
    code: ((-(1 << 8 * SIZES[code] - 1), (1 << 8 * SIZES[code] - 1) - 1))
    if code.islower()
    else (0, (1 << 8 * SIZES[code]) - 1)
    for code in "iIhHbBqQ"
}
"""The least and the greatest of the integers."""


def _tag(layout: Layout) -> int:
    return int(TensorProto.DESCRIPTOR.fields_by_name[layout.field].number) << 3 | 2


_TAGS: Final = {layout.number: bytes([_tag(layout)]) for layout in LAYOUTS.values() if layout.code}


def make(dtype: DType, elements: Sequence[Any], shape: Shape | None) -> TensorProto:
    """A tensor of these: floats, ints, bools, or bytes for strings; of complex numbers both parts.

    Raises OverflowError when one is out of the type's range.
    """
    layout = LAYOUTS[dtype]
    tensor = TensorProto(dtype=layout.number, tensor_shape=shaped(shape))
    if layout.code in ("f", "d"):
        _pack(tensor, layout, struct.pack(f"<{len(elements)}{layout.code}", *elements))
    elif layout.code == "?":
        _pack(tensor, layout, bytes(elements))
    elif layout.code == "e":
        tensor.half_val.extend(array("H", struct.pack(f"<{len(elements)}e", *elements)))
    else:
        if elements and layout.code in RANGES:
            low, high = RANGES[layout.code]
            if min(elements) < low or max(elements) > high:
                raise OverflowError
        getattr(tensor, layout.field).extend(elements)
    return tensor


def make_map(inner: Tensors) -> TensorProto:
    tensor = TensorProto(dtype=MAP, tensor_shape=TensorShapeProto())
    for name, one in inner.items():
        tensor.map_val[name].CopyFrom(one)
    return tensor


def shaped(shape: Shape | None) -> TensorShapeProto | None:
    if shape is None:
        return None
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])


def shape_of(tensor: TensorProto) -> Shape | None:
    """None: it has no shape, which isn't the shape of a scalar. Of one of more than DIMENSIONS no
    more than one more are told."""
    if not tensor.HasField("tensor_shape") or tensor.tensor_shape.unknown_rank:
        return None
    return tuple([dim.size for dim in tensor.tensor_shape.dim[: DIMENSIONS + 1]])


def count(tensor: TensorProto) -> int:
    """How many elements it has; -1 when its bytes are no whole number of them."""
    layout = LAYOUTS[DTYPE_OF[tensor.dtype]]
    if content := tensor.tensor_content:
        size = SIZES[layout.code] * layout.parts if layout.code else 0
        return len(content) // size if size and len(content) % size == 0 else -1
    found = len(getattr(tensor, layout.field))
    return found // layout.parts if found % layout.parts == 0 else -1


def weight(tensors: Tensors) -> int:
    """How many elements all of them have. What no contract can name, as a map may hold beside what
    its fields say, has none."""
    found = 0
    for tensor in tensors.values():
        if tensor.dtype == MAP:
            found += weight(tensor.map_val)
        elif tensor.dtype in DTYPE_OF:
            found += abs(count(tensor))
    return found


def elements(tensor: TensorProto) -> list[Any]:
    """Its elements in a row; of complex numbers both parts. ValueError: it has others."""
    layout = LAYOUTS[DTYPE_OF[tensor.dtype]]
    content = tensor.tensor_content
    if layout.code == "e":
        try:
            packed = content or array("H", tensor.half_val).tobytes()
        except OverflowError as error:
            raise ValueError("half_val has more than 16 bits of an element") from error
        return list(struct.unpack(f"<{len(packed) // 2}e", packed))
    if content:
        return memoryview(content).cast(layout.code).tolist()  # type: ignore[call-overload, no-any-return]
    return list(getattr(tensor, layout.field))


def agrees(count: int, shape: Shape) -> bool:
    """Whether so many elements may have this shape.

    >>> agrees(6, (2, 3)), agrees(6, (-1, 3)), agrees(7, (-1, 3)), agrees(1, ()), agrees(0, (-1,))
    (True, True, False, True, True)
    """
    known = prod([size for size in shape if size != ANY])
    if ANY not in shape:
        return count == known
    return count % known == 0 if known else count == 0


def _pack(tensor: TensorProto, layout: Layout, packed: bytes) -> None:
    if packed:
        tensor.MergeFromString(_TAGS[layout.number] + varint(len(packed)) + packed)


def varint(number: int) -> bytes:
    """
    >>> varint(1), varint(300)
    (b'\\x01', b'\\xac\\x02')
    """
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
