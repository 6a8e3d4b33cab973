"""Keeps some requests and their answers, for whoever profiles models.

The request path only looks whether there is room, and writes a few bytes down: of each version so
many a second and no more, of all together so many bytes. Everything else is done by a loop, which
hands them to PostgreSQL. What can't be kept is dropped: a profile needs some, not all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec
from prometheus_client import Counter

from services.router.gateway.targets import Target, Variant
from services.router.gateway.tensors import Tensors
from shared.contract import Contract, Field
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.ids import VersionId
from shared.run import pause
from shared.sample import Taken
from shared.telemetry import Telemetry

log = logging.getLogger(__name__)

SAMPLES_KEEP = sql("services.router", "samples_keep")

OFTEN: Final = 1.0  # seconds between two times that samples are handed on
WAIT: Final = 120.0  # seconds after which what waits to be counted in is to become no more
KEPT: Final = 20  # of these, those that a failed hand-over may cost


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    each: float = 10.0  # samples a second of one version; 0: none at all
    bytes: int = 2 << 20  # a second, of all
    held: int = 16 << 20  # bytes that wait to be handed on


class _Share:
    """What one version may still have kept: it fills up with time, to two seconds' worth."""

    __slots__ = ("at", "left")

    def __init__(self, at: float, left: float) -> None:
        self.at = at
        self.left = left


class Sampling:
    def __init__(
        self,
        database: Database,
        telemetry: Telemetry,
        rates: Rates | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._rates = rates or Rates()
        self._clock = clock
        self._shares: dict[VersionId, _Share] = {}
        self._bytes = _Share(clock(), float(self._rates.bytes))
        self._held: list[Taken] = []
        self._size = 0
        samples = Counter(
            "slipway_gateway_samples",
            "Requests and answers to be profiled, by what became of them",
            ("outcome",),
            registry=telemetry.registry,
        )
        self._kept, self._dropped = samples.labels("kept"), samples.labels("dropped")

    def __call__(self, target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
        """Keep it if there is room."""
        if not self._may(variant.version) or not profiled(variant.contract):
            return
        size = sum(map(_size, inputs.values())) + sum(map(_size, outputs.values()))
        if not self._room(size):
            self._dropped.inc()
            return
        taken = Taken.of(
            variant.version,
            {name: tensor.SerializeToString() for name, tensor in inputs.items()},
            {name: tensor.SerializeToString() for name, tensor in outputs.items()},
        )
        self._held.append(taken)
        self._size += len(taken.body)

    async def loop(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await pause(OFTEN, stopping)
            await self.hand_over()
            self._forget()

    async def hand_over(self) -> None:
        held, self._held, self._size = self._held, [], 0
        for at in range(0, len(held), KEPT):
            some = held[at : at + KEPT]
            values = [each.version for each in some], [each.body for each in some]
            try:
                kept = int(await self._database.value(SAMPLES_KEEP, *values, WAIT))
                self._kept.inc(kept)
                self._dropped.inc(len(some) - kept)
            except Transient as error:
                log.warning("%d samples are dropped: %s", len(held) - at, error)
                self._dropped.inc(len(held) - at)
                return

    def _may(self, version: VersionId) -> bool:
        now, each = self._clock(), self._rates.each
        share = self._shares.get(version)
        if share is None:
            share = self._shares[version] = _Share(now, 2 * each)
        share.left = min(2 * each, share.left + (now - share.at) * each)
        share.at = now
        if share.left < 1:
            return False
        share.left -= 1
        return True

    def _room(self, size: int) -> bool:
        now, most = self._clock(), float(self._rates.bytes)
        self._bytes.left = min(most, self._bytes.left + (now - self._bytes.at) * most)
        self._bytes.at = now
        if size > self._bytes.left or self._size + size > self._rates.held:
            return False
        self._bytes.left -= size
        return True

    def _forget(self) -> None:
        """Let go of versions that nobody has asked for some time: they begin anew."""
        before = self._clock() - 60.0
        self._shares = {
            version: share for version, share in self._shares.items() if share.at > before
        }


def _size(tensor: object) -> int:
    return int(tensor.ByteSize())  # type: ignore[attr-defined]


def profiled(contract: Contract) -> bool:
    """Whether anything is computed of what it takes or gives."""
    return any(map(_profiled, (*contract.inputs, *contract.outputs)))


def _profiled(field: Field) -> bool:
    return field.profile not in ("none", "video", "audio") or any(map(_profiled, field.fields))
