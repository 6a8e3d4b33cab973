"""A request that a contract allows, made of it: for people who want to see an answer soon."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

from services.api import refused
from shared.contract import ANY, Contract, DType, Field

MOST: Final = 1_000_000  # numbers in a sample
_COMPLEX: Final = ("complex64", "complex128")


def sample(contract: Contract) -> dict[str, Any]:
    """One element where a dimension may be of any size. Refused when it would be very large."""
    size = sum(_size(field) for field in contract.inputs)
    if size > MOST:
        detail = f"its inputs have {size} elements, and a sample has {MOST} at most"
        raise refused.conflict("sample-too-large", "A sample would be too large", detail)
    return {field.name: _value(field) for field in contract.inputs}


def _size(field: Field) -> int:
    """Of a sample, brackets among it."""
    if field.fields:
        return sum(_size(inner) for inner in field.fields)
    shape = _shape(field)
    return sum(prod(shape[: at + 1]) for at in range(len(shape))) + 1


def _shape(field: Field) -> tuple[int, ...]:
    return tuple(1 if size == ANY else size for size in field.shape or ())


def _value(field: Field) -> Any:
    if field.fields or field.dtype is None:
        return {inner.name: _value(inner) for inner in field.fields}
    shape = _shape(field)
    if field.dtype in _COMPLEX:  # real and imaginary parts side by side
        return _filled(shape[:-1], [1.0, 0.0] * prod(shape[-1:]))
    return _filled(shape, _one(field.dtype))


def _filled(shape: Sequence[int], value: Any) -> Any:
    for size in reversed(shape):
        value = [value] * size
    return value


def _one(dtype: DType) -> Any:
    if dtype == "bool":
        return True
    if dtype in ("string", "variant"):
        return "foo"
    return 1.0 if dtype.startswith("float") else 1
