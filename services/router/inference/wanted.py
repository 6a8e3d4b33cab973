"""Which outputs an inference gives, whichever way it came: pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.targets import Target
from services.router.gateway.tensors import Tensors
from services.router.inference.errors import bad, not_yet
from services.router.inference.given import quoted


def named(target: Target, wanted: Sequence[str]) -> tuple[str, ...]:
    """The outputs that are `wanted`, all of them when none are. Raises GatewayError."""
    if not target.stages:
        raise not_yet(target)
    names = tuple(field.name for field in target.outputs)
    for name in wanted:
        if name not in names:
            there = ", ".join(map(quoted, names))
            raise bad(f"outputs: there is no output {quoted(name)}; there are {there}")
    return tuple(dict.fromkeys(wanted)) or names


def answered(names: Sequence[str], wanted: Sequence[str], outputs: Tensors) -> tuple[str, ...]:
    """Those of `names` that came: of a stage's models each gives its own, and one was chosen.
    Raises GatewayError when one did not come that is `wanted`."""
    for name in wanted:
        if name not in outputs:
            text = f"outputs: the model that was chosen gives no {quoted(name)}; another one does"
            raise GatewayError(Kind.MODEL, text)
    return tuple([name for name in names if name in outputs])
