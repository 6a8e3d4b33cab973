"""Which outputs an inference gives, whichever way it came: pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.gateway.targets import Target
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
