"""How owners count in a target's queue: weights, quotas, what they had of late, who has spent all.

What changes slowly is read now and then. What an owner had of late is kept here and decays; only
what was had since the last look is read, so its cost does not grow with the history.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from math import inf
from typing import Final

import msgspec

from services.scheduler import budgets
from services.scheduler.queue.values import Owner, Quota
from shared.database.pool import Connection
from shared.database.sqlfile import sql

QUOTAS = sql(__package__, "quotas")
WEIGHTS = sql(__package__, "weights")
USED = sql(__package__, "used")
COUNTS = sql(__package__, "counts")

USED_EVERY: Final = 30.0  # seconds
COUNTED_EVERY: Final = 5.0
LEAST: Final = 1e-3  # GPUs that count for nothing
HALF_LIFE: Final = 3600.0


class Owners:
    def __init__(self, target: str, half_life: float = HALF_LIFE) -> None:
        """After `half_life` seconds what an owner had counts for half."""
        self._target = target
        self._half_life = half_life
        self._used: dict[tuple[str, str], float] = {}  # GPUs, by owner and type ...
        self._until: datetime | None = None  # ... when they were last reckoned up, by the database
        self._used_at = self._counted_at = -inf  # by this process's clock
        self.waiting: dict[tuple[str, int], int] = {}  # jobs, by owner and class: of late
        self.wanting: Counter[str] = Counter()  # ... those that want GPUs, by owner

    async def quotas(self, connection: Connection) -> list[Quota]:
        rows = await connection.fetch(QUOTAS, self._target)
        return msgspec.convert([dict(row) for row in rows], list[Quota])

    async def read(self, connection: Connection) -> dict[str, Owner]:
        """Those who count otherwise than everybody."""
        now = asyncio.get_running_loop().time()
        if now - self._used_at >= USED_EVERY:
            await self._reckon(connection)
            self._used_at = now
        if now - self._counted_at >= COUNTED_EVERY:
            await self._count(connection)
            self._counted_at = now
        weights = {row["owner"]: row["weight"] for row in await connection.fetch(WEIGHTS)}
        spent = await budgets.spent(connection)
        used: dict[str, dict[str, float]] = {}
        for (owner, kind), gpus in self._used.items():
            used.setdefault(owner, {})[kind] = gpus
        return {
            name: Owner(
                owner=name,
                weight=weights.get(name, 1.0),
                used=used.get(name, {}),
                spent=name in spent,
            )
            for name in sorted({*weights, *spent, *used})
        }

    async def _reckon(self, connection: Connection) -> None:
        rows = await connection.fetch(USED, self._target, self._half_life, self._until)
        until = rows[0]["until"]
        passed = 0.0 if self._until is None else (until - self._until).total_seconds()
        if passed < 0:  # clocks jump: what was had counts as it did, and no more for that
            self._until = until
            return
        kept = 2.0 ** (-passed / self._half_life)
        used = Counter({key: gpus * kept for key, gpus in self._used.items()})
        for row in rows:
            if row["owner"] is not None:
                used[row["owner"], row["type"]] += row["gpus"]
        self._used = {key: gpus for key, gpus in used.items() if gpus >= LEAST}
        self._until = until

    async def _count(self, connection: Connection) -> None:
        rows = await connection.fetch(COUNTS, self._target)
        self.waiting = {(row["owner"], row["priority"]): row["jobs"] for row in rows}
        self.wanting = Counter()
        for row in rows:
            self.wanting[row["owner"]] += row["wanting"]
