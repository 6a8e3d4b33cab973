"""How much of a target an owner has, by that resource of which it has most. Pure.

A GPU counts while it is held, and for as long again as its owner's mean remembers it: who had much
of late comes after who had little. The weight says how much of that is its due.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.scheduler.queue.values import Owner

LEAST: Final = 1e-9  # a weight that nobody is to divide by


class Shares:
    def __init__(self, there: Mapping[str, int], owners: Mapping[str, Owner]) -> None:
        self._there = there
        self._owners = owners
        self._has: dict[tuple[str, str], float] = {}  # by owner and type
        self._share: dict[str, float] = {}
        for owner in owners.values():
            for kind, used in owner.used.items():
                self.charge(owner.owner, kind, used)

    def copy(self) -> Shares:
        copy = Shares(self._there, {})
        copy._owners, copy._has, copy._share = self._owners, self._has.copy(), self._share.copy()
        return copy

    def of(self, owner: str) -> float:
        return self._share.get(owner, 0.0)

    def charge(self, owner: str, kind: str, count: float) -> None:
        """It has so many more of this type, or waits in its place for them."""
        there = self._there.get(kind, 0)
        if not there or not count:
            return
        has = self._has[owner, kind] = self._has.get((owner, kind), 0.0) + count
        told = self._owners.get(owner)
        share = has / there / max(told.weight if told else 1.0, LEAST)
        if share > self._share.get(owner, 0.0):
            self._share[owner] = share
