"""The Open Inference Protocol's names of what elements are, beside ours."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.router.gateway.tensors import RANGES, SIZES
from shared.contract import DType
from shared.hydrosphere.dtypes import LAYOUTS


class Datatype(NamedTuple):
    """`size`: bytes of one element in binary data; 0: each has its length before it."""

    name: str
    dtype: DType
    size: int
    span: tuple[int, int] | None  # the least and the greatest of a whole number


NAMES: Final[dict[str, DType]] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "string",
}

INTEGERS: Final[dict[DType, DType]] = {
    "qint8": "int8",
    "qint16": "int16",
    "qint32": "int32",
    "quint8": "uint8",
    "quint16": "uint16",
}
"""Quantized numbers travel as the whole numbers that they are kept as."""


def _datatype(name: str, dtype: DType) -> Datatype:
    code = LAYOUTS[dtype].code
    span = RANGES.get(code) if "INT" in name else None
    return Datatype(name, dtype, SIZES.get(code, 0), span)


DATATYPES: Final = {name: _datatype(name, dtype) for name, dtype in NAMES.items()}

_OF: Final = {each.dtype: each for each in DATATYPES.values()}


def datatype_of(dtype: DType | None) -> Datatype | None:
    """None for maps, complex numbers and variants: the protocol has no name for them.

    >>> datatype_of("quint8").name, datatype_of("complex64")
    ('UINT8', None)
    """
    return None if dtype is None else _OF.get(INTEGERS.get(dtype, dtype))


def shown(dtype: DType | None) -> str:
    """How a model's metadata calls it, whether it can be sent or not."""
    if found := datatype_of(dtype):
        return found.name
    return (dtype or "map").upper()
