"""An inference answer over HTTP, as the Open Inference Protocol writes it in JSON: pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, isnan
from typing import Any, Final

import msgspec

from services.router.inference.document import SIZE
from services.router.inference.errors import bad
from services.router.inference.given import quoted
from services.router.inference.told import Told

JSON: Final = b"application/json"
BINARY: Final = b"application/octet-stream"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """`header`: how much of it is JSON, where that is not all."""

    content: bytes
    header: int | None = None

    @property
    def kind(self) -> bytes:
        return JSON if self.header is None else BINARY


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is written: with what, and which outputs as bytes."""

    model: str
    version: str
    id: str
    names: tuple[str, ...]
    binary: frozenset[str]


def write(style: Style, told: Sequence[Told]) -> Body:
    """Raises GatewayError when an output can't be written in the way that was asked for."""
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for each in told:
        output: dict[str, Any] = {
            "name": each.name,
            "datatype": each.datatype.name,
            "shape": each.shape,
        }
        if each.name in style.binary:
            raw = each.raw()
            output["parameters"] = {SIZE: len(raw)}
            behind.append(raw)
        else:
            output["data"] = _plain(each)
        outputs.append(output)
    found: dict[str, Any] = {"model_name": style.model, "model_version": style.version}
    if style.id:
        found["id"] = style.id
    head = msgspec.json.encode({**found, "outputs": outputs})
    if not behind:
        return Body(content=head)
    return Body(content=b"".join((head, *behind)), header=len(head))


def _plain(told: Told) -> list[Any]:
    """As JSON has it, and as the gateway's own: what is no number is a word."""
    values = told.values()
    match told.datatype.name:
        case "BYTES":
            return _texts(told, values)
        case "FP16" | "FP32" | "FP64" if not isfinite(sum(values)):
            return [each if isfinite(each) else _word(each) for each in values]
        case _:
            return values


def _texts(told: Told, values: list[bytes]) -> list[str]:
    try:
        return [each.decode() for each in values]
    except UnicodeDecodeError:
        raise bad(
            f"The output {quoted(told.name)} holds bytes that are not UTF-8, so JSON can't say "
            "them; ask for it with the parameter binary_data"
        ) from None


def _word(each: float) -> str:
    return "NaN" if isnan(each) else "Infinity" if each == inf else "-Infinity"
