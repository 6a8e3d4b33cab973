"""Values of JSON as the elements of a tensor, looked at one by one: each is of its type, or is
named in the error.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any, Final, Literal

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.tensors import RANGES
from shared.contract import DType, Shape
from shared.hydrosphere.dtypes import LAYOUTS

DEEPEST: Final = 64  # lists in lists

Family = Literal["int", "float", "bool", "string"]

_NOT_FINITE: Final = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_WORDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "a bool",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
    list: "a list",
}


def family(dtype: DType) -> Family:
    code = LAYOUTS[dtype].code
    if code in RANGES:
        return "int"
    return "bool" if code == "?" else "float" if code else "string"


def elements(value: Any, dtype: DType, shape: Shape | None, at: str) -> list[Any]:
    """What is in `value`, flattened. Raises GatewayError that names `at`."""
    if type(value) is not list:
        if shape:
            raise bad(f"Invalid '{at}' field: {word(value)}, where a list of {dtype} is expected")
        value = [value]
    elif shape == () and any(type(one) is list for one in value):
        raise bad(f"Invalid '{at}' field: lists in a list, where one {dtype} is expected")
    whose = family(dtype)
    return [_element(one, dtype, whose, at) for one in _flattened(value, at)]


def _flattened(value: list[Any], at: str) -> Iterator[Any]:
    rows = [iter(value)]
    while rows:
        for one in rows[-1]:
            if type(one) is list:
                if len(rows) >= DEEPEST:
                    raise bad(f"Invalid '{at}' field: lists are nested more than {DEEPEST} deep")
                rows.append(iter(one))
                break
            yield one
        else:
            rows.pop()


def _element(one: Any, dtype: DType, family: Family, at: str) -> Any:
    kind = type(one)
    try:
        if family == "string" and kind is str:
            return one.encode()
        if family == "bool" and kind is bool:
            return one
        if family == "int" and kind in (int, float):
            return int(one)
        if family == "float" and kind in (int, float):
            return float(one)
        if family == "float" and kind is str and one in _NOT_FINITE:
            return _NOT_FINITE[one]
    except (OverflowError, UnicodeEncodeError) as error:
        raise bad(f"Invalid '{at}' field: an element is out of range for {dtype}") from error
    raise bad(f"Invalid '{at}' field: {word(one)}, where {dtype} is expected")


def word(value: Any) -> str:
    return f"it has {_WORDS[type(value)]}"


def bad(information: str) -> GatewayError:
    return GatewayError(Kind.BAD_REQUEST, information)
