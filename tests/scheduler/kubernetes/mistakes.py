"""Mistakes that somebody could make in the driver, to show that the drill would tell of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import informer, view
from services.scheduler.drivers.kubernetes.informer import Informer
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.live import Live


def believe_absence() -> None:
    """While an informer lists anew, what it does not know counts as gone, and nobody is asked."""
    lists = Informer._list

    async def forgetful(self: Informer[Any]) -> None:
        for change in self._picture.replace([], self._picture.version):
            self._changed(change)
        await asyncio.sleep(0.3)  # a list of many takes its time
        await lists(self)

    async def never(self: Live, kind: Kind, type: type[Any], replica: Replica) -> Any:
        return None

    Informer._list = forgetful  # type: ignore[method-assign]
    Live.part = never  # type: ignore[method-assign]


def overlook_hands() -> None:
    """What others change is never noticed."""
    view.Changes.of = lambda self, held: ""  # type: ignore[method-assign]


def list_at_once() -> None:
    """What a watch would tell is found out by listing, again and again."""
    informer.GAP = 0.0  # type: ignore[misc]

    async def hasty(self: Informer[Any]) -> bool:
        await asyncio.sleep(0.3)
        return True

    Informer._watch = hasty  # type: ignore[method-assign]


MISTAKES: Final[Mapping[str, Callable[[], None]]] = {
    "believe-absence": believe_absence,
    "overlook-hands": overlook_hands,
    "list-at-once": list_at_once,
}
