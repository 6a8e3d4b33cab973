"""Predictions by the name of an application or servable, whichever protocol asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec

from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.meter import Meter
from services.router.gateway.pipeline import MOST_WAITING, Pipeline, Sampler, no_sampler
from services.router.gateway.runtime import Ways
from services.router.gateway.runtimes import Runtimes
from services.router.gateway.shadows import Bounds, Shadows
from services.router.gateway.targets import Kind as TargetKind
from services.router.gateway.targets import Target
from services.router.gateway.tensors import Tensors
from services.router.table import Table
from shared.ids import JobId
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.telemetry import Telemetry

DEADLINE: Final = 60.0  # seconds for all the stages of a request
WAITS: Final = (Kind.UNAVAILABLE, Kind.DEADLINE)  # may be all that is told when time is up


class Options(msgspec.Struct, frozen=True, kw_only=True):
    deadline: float = DEADLINE
    news: float = 0.0  # seconds to wait for the news of what a client knows already
    ways: Ways = Ways()
    bounds: Bounds = Bounds()


class Gateway:
    def __init__(
        self,
        table: Table,
        telemetry: Telemetry,
        options: Options | None = None,
        *,
        random: Random | None = None,
        sampler: Sampler = no_sampler,
    ) -> None:
        self.options = options or Options()
        self.waiting = 0  # for the news of a name
        self._table = table
        self._meter = Meter(telemetry)
        self._runtimes = Runtimes(table, self.options.ways)
        self._shadows = Shadows(self.options.bounds)
        self._pipeline = Pipeline(
            table,
            self._runtimes,
            self._shadows,
            random or Random(),
            sampler,
            self.options.news,
        )

    def find(self, name: str, kind: TargetKind | None = None) -> Target | None:
        """The servable of that name, else the application, unless `kind` says which.

        It stays what it is while it is used, whatever is applied meanwhile.
        """
        targets = self._table.targets
        found = targets.servable(name) if kind != "application" else None
        return found or (targets.application(name) if kind != "servable" else None)

    async def found(self, name: str, kind: TargetKind | None = None) -> Target | None:
        """As `find`; but a client may be quicker than the news of what it has just applied, so
        what is not there, or not ready, is looked for again for a moment."""
        until = time.monotonic() + self.options.news
        while True:
            target = self.find(name, kind)
            left = until - time.monotonic()
            if (target is not None and target.stages) or left <= 0 or self.waiting >= MOST_WAITING:
                return target
            self.waiting += 1
            try:
                await self._table.change(left)
            finally:
                self.waiting -= 1

    def all(self, kind: TargetKind) -> list[Target]:
        """Those that there are now, by their names."""
        return self._table.targets.all(kind)

    def runs(self, job: str) -> bool:
        """Whether the job of a variant takes requests now."""
        route = self._table.job(JobId(job))
        return route is not None and route.runs

    async def predict(
        self, target: Target, inputs: Tensors, *, deadline: float | None = None
    ) -> Mapping[str, TensorProto]:
        """The outputs of the target's contract, all of them, checked. Raises GatewayError.

        Inputs that the contract doesn't have are dropped. `deadline` is of time.monotonic().
        """
        began = time.monotonic()
        until = min(deadline or began + self.options.deadline, began + self.options.deadline)
        series = self._meter.of(target.name)
        try:
            async with asyncio.timeout(until - began):
                outputs = await self._pipeline.run(target, inputs, until, series)
        except (TimeoutError, GatewayError) as error:
            told = error
            if isinstance(told, TimeoutError) or (told.kind in WAITS and time.monotonic() >= until):
                told = late(target, until - began)
            series.failed(told.kind, time.monotonic() - began)
            raise told from error
        series.answered(time.monotonic() - began)
        return outputs

    def forget(self) -> None:
        """Let go of what is over."""
        self._runtimes.forget()
        self._pipeline.forget()

    async def close(self) -> None:
        """At once: what is in hand fails."""
        self._shadows.close()
        await self._runtimes.close()


def late(target: Target, seconds: float) -> GatewayError:
    """All the time that there was is over."""
    text = (
        f"DEADLINE_EXCEEDED: {target.name} did not answer within {max(0.0, round(seconds, 1)):g} s"
    )
    return GatewayError(Kind.DEADLINE, text)
