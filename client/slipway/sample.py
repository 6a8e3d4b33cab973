"""Valid inputs for a contract, and calls that send them: pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from math import prod
from typing import Any, Final

from slipway.errors import BadUsage
from slipway.types_models import Field

LONG: Final = 2_000  # characters of inputs that are still shown in a call
FILE: Final = "inputs.json"
MOST: Final = 1_000_000  # elements


def sample(inputs: Sequence[Field]) -> dict[str, Any]:
    """A value for each: 1, 1.0, "foo" and true, in the field's shape; -1 counts as 1."""
    size = sum(_size(field) for field in inputs)
    if size > MOST:
        raise BadUsage(f"the inputs have {size} elements, and a sample has {MOST} at most")
    return {field.name: _value(field) for field in inputs}


def _size(field: Field) -> int:
    """With every list counted."""
    shape = _shape(field)
    return sum(_size(f) for f in field.fields) + sum(prod(shape[:n]) for n in range(len(shape) + 1))


def _shape(field: Field) -> list[int]:
    return [1 if size < 0 else size for size in field.shape or ()]


def _value(field: Field) -> Any:
    if field.fields:
        return {inner.name: _value(inner) for inner in field.fields}
    shape, dtype = _shape(field), field.dtype or ""
    if dtype.startswith("complex"):  # real and imaginary parts side by side
        return _nested([1.0, 0.0] * prod(shape[-1:]), shape[:-1])
    return _nested(_one(dtype), shape)


def _one(dtype: str) -> Any:
    if dtype == "bool":
        return True
    if dtype in ("string", "variant"):
        return "foo"
    return 1.0 if dtype.startswith("float") else 1


def _nested(one: Any, shape: Sequence[int]) -> Any:
    return [_nested(one, shape[1:]) for _ in range(shape[0])] if shape else one


def curl(url: str, body: str) -> str:
    """A command line that sends `body`; what is long is left to a file."""
    data = shlex.quote(body if len(body) <= LONG else f"@{FILE}")
    return f"curl {shlex.quote(url)} -H 'Content-Type: application/json' -d {data}"


def python(url: str, inputs: Any, body: str) -> str:
    """Lines that do the same with nothing but Python."""
    short = len(body) <= LONG
    data = f"json.dumps({inputs!r}).encode()" if short else f'open("{FILE}", "rb").read()'
    return (
        "import json, urllib.request\n"
        f"data = {data}\n"
        f'request = urllib.request.Request({url!r}, data, {{"Content-Type": "application/json"}})\n'
        "print(json.load(urllib.request.urlopen(request)))"
    )
