"""How the wire writes the type of an element: its number, and the field that holds such elements.

Numbers and fields are those of `hydrosphere.tensorflow` (shared/protos/hydro_serving_grpc/tf).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from shared.contract import DType

FieldName = Literal[
    "float_val",
    "double_val",
    "int_val",
    "string_val",
    "scomplex_val",
    "int64_val",
    "bool_val",
    "dcomplex_val",
    "half_val",
    "variant_val",
    "uint32_val",
    "uint64_val",
]


class Layout(NamedTuple):
    """`number` of hydrosphere.tensorflow.DataType, and the field of TensorProto for its elements.

    `code` is how `struct` and `array` call an element as it stands in `tensor_content`; "" if it
    can't stand there. An element of `parts` 2 is two of them: real and imaginary.
    """

    number: int
    field: FieldName
    code: str = ""
    parts: int = 1


LAYOUTS: Final[dict[DType, Layout]] = {
    "float32": Layout(1, "float_val", "f"),
    "float64": Layout(2, "double_val", "d"),
    "int32": Layout(3, "int_val", "i"),
    "uint8": Layout(4, "int_val", "B"),
    "int16": Layout(5, "int_val", "h"),
    "int8": Layout(6, "int_val", "b"),
    "string": Layout(7, "string_val"),
    "complex64": Layout(8, "scomplex_val", "f", 2),
    "int64": Layout(9, "int64_val", "q"),
    "bool": Layout(10, "bool_val", "?"),
    "qint8": Layout(11, "int_val", "b"),
    "quint8": Layout(12, "int_val", "B"),
    "qint32": Layout(13, "int_val", "i"),
    "qint16": Layout(15, "int_val", "h"),
    "quint16": Layout(16, "int_val", "H"),
    "uint16": Layout(17, "int_val", "H"),
    "complex128": Layout(18, "dcomplex_val", "d", 2),
    "float16": Layout(19, "half_val", "e"),  # half_val has the 16 bits of each, as an integer
    "variant": Layout(21, "variant_val"),
    "uint32": Layout(22, "uint32_val", "I"),
    "uint64": Layout(23, "uint64_val", "Q"),
}

NUMBERS: Final[dict[DType, int]] = {dtype: layout.number for dtype, layout in LAYOUTS.items()}
DTYPE_OF: Final[dict[int, DType]] = {number: dtype for dtype, number in NUMBERS.items()}
"""Numbers that no contract can name (BFLOAT16, RESOURCE, MAP) are not here."""

MAP: Final = 27  # of a tensor that is a map of tensors, in `map_val`


def shown(number: int) -> str:
    """A number of DataType as people write it.

    >>> shown(2), shown(MAP), shown(14)
    ('float64', 'a map', 'type 14')
    """
    if number == MAP:
        return "a map"
    return DTYPE_OF.get(number, f"type {number}")
