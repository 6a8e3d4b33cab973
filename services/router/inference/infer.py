"""An inference, whichever way it came: the one place where this protocol meets the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.gateway.gateway import Gateway
from services.router.gateway.targets import Target
from services.router.inference.errors import bad, not_yet
from services.router.inference.given import Given, messages, quoted
from services.router.inference.told import Told, told


async def infer(
    gateway: Gateway,
    target: Target,
    given: Sequence[Given],
    wanted: Sequence[str],
    deadline: float | None = None,
) -> list[Told]:
    """The outputs that are `wanted`, in that order; all of them when none are named.

    Raises GatewayError.
    """
    if not target.stages:
        raise not_yet(target)
    names = [field.name for field in target.outputs]
    for name in wanted:
        if name not in names:
            there = ", ".join(map(quoted, names))
            raise bad(f"outputs: there is no output {quoted(name)}; there are {there}")
    answer = await gateway.predict(target, messages(given, target.inputs), deadline=deadline)
    return [told(name, answer[name]) for name in wanted or names if name in answer]
