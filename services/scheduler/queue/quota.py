"""What owners may have: how much of it is always theirs, and how much others leave them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from services.scheduler.queue.values import Quota

ALL_TYPES: Final = "*"


class Pool:
    """What a cohort may have of a type, or of all types together."""

    __slots__ = ("nominal", "used")

    def __init__(self) -> None:
        self.nominal = 0
        self.used = 0


class Row:
    """One owner's part of a pool. What waits in its place counts as used, once it had its turn."""

    __slots__ = ("borrow", "held", "kind", "leaving", "nominal", "pool", "used")

    def __init__(self, quota: Quota, pool: Pool) -> None:
        self.kind = quota.gpu_type
        self.nominal = quota.nominal
        self.borrow = inf if quota.borrow is None else quota.borrow
        self.pool = pool
        self.held = 0
        self.leaving = 0  # of those held: their jobs end, or have been told to give way
        self.used = 0
        pool.nominal += quota.nominal

    @property
    def guaranteed(self) -> float:
        """GPUs that are still its own, whatever others have."""
        return max(0, self.nominal - self.used)

    @property
    def room(self) -> float:
        """GPUs that it may still have, its own and lent ones."""
        lent = self.pool.nominal - self.pool.used
        return max(self.guaranteed, min(self.nominal + self.borrow - self.used, lent))

    def short(self, count: int) -> float:
        """GPUs that it would have to give back itself before it may have so many more."""
        lent = min(self.nominal + self.borrow - self.used, self.pool.nominal - self.pool.used)
        return count - max(self.nominal - self.used, lent)

    @property
    def most(self) -> float:
        """GPUs that it may have when others of its cohort leave it all that they may lend."""
        return min(self.nominal + self.borrow, self.pool.nominal)


class Quotas:
    def __init__(self, quotas: Iterable[Quota]) -> None:
        self._pools: dict[tuple[str, str], Pool] = {}
        self._rows: dict[tuple[str, str], Row] = {}
        for quota in quotas:
            pool = self._pools.setdefault((quota.cohort, quota.gpu_type), Pool())
            self._rows[quota.owner, quota.gpu_type] = Row(quota, pool)
        self.owners = {owner for owner, _ in self._rows}

    def row(self, owner: str, kind: str) -> Row | None:
        """What its GPUs of this type count against."""
        if owner not in self.owners:
            return None
        return self._rows.get((owner, kind)) or self._rows.get((owner, ALL_TYPES))

    def hold(self, owner: str, kind: str, count: int) -> None:
        """It has so many more."""
        row = self.row(owner, kind)
        if row is not None:
            row.held += count
            self.charge(owner, kind, count)

    def again(self) -> None:
        """Nobody waits: what is used is what is held."""
        for pool in self._pools.values():
            pool.used = 0
        for row in self._rows.values():
            row.used = row.held
            row.pool.used += row.held

    def charge(self, owner: str, kind: str, count: int) -> None:
        """It has so many more, or waits in its place for them."""
        row = self.row(owner, kind)
        if row is not None:
            row.used += count
            row.pool.used += count

    def guaranteed(self, owner: str, kind: str) -> float:
        """GPUs of this type that are still its own. An owner without quota has none."""
        row = self.row(owner, kind)
        return row.guaranteed if row is not None else 0

    def room(self, owner: str, kind: str) -> float:
        """GPUs of this type that it may still have."""
        row = self.row(owner, kind)
        return row.room if row is not None else inf
