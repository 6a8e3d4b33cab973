"""A request's way through the stages of its target.

Each stage's inputs are checked and go to all of its variants at once. One is chosen by weight and
answers; the others get shadows. What it answers is checked, and is all that the next stage gets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Final, Protocol

from services.router.gateway import wire
from services.router.gateway.check import told, violations
from services.router.gateway.errors import GatewayError, Kind, failed, rejected, unavailable
from services.router.gateway.meter import Series
from services.router.gateway.pick import pick
from services.router.gateway.runtime import Runtime
from services.router.gateway.runtimes import Runtimes
from services.router.gateway.shadows import Shadows
from services.router.gateway.targets import Stage, Target, Variant
from services.router.gateway.tensors import Tensors
from services.router.table import Route, Table
from shared.dial import Failed
from shared.ids import JobId
from shared.lifecycle import State
from shared.protos.hydro_serving_grpc.tf.tensor_pb2 import TensorProto
from shared.unary.rejected import Rejected

log = logging.getLogger(__name__)

COMING: Final = frozenset({State.STARTING, State.RUNNING})
"""What runs or starts may have an address with the next news."""
MOST_WAITING: Final = 64  # requests that wait for news at a time; more are answered at once


class Sampler(Protocol):
    """Sees what was asked and answered, of the variant that answered and of shadows, each stage.

    It is called after the answer has gone out, on the same loop: it must return at once, and what
    it raises is logged. The tensors are not to be changed.
    """

    def __call__(
        self, target: Target, variant: Variant, inputs: Tensors, outputs: Tensors
    ) -> None: ...


def no_sampler(target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
    pass


class Pipeline:
    def __init__(
        self,
        table: Table,
        runtimes: Runtimes,
        shadows: Shadows,
        random: Random,
        sampler: Sampler,
        news: float,
    ) -> None:
        self.in_hand = 0
        self._waiting = 0  # for the news of a job
        self._table = table
        self._runtimes = runtimes
        self._shadows = shadows
        self._random = random
        self._sampler = sampler
        self._news = news
        self._heads: dict[JobId, tuple[Variant, bytes]] = {}

    async def run(
        self, target: Target, inputs: Tensors, deadline: float, series: Series
    ) -> Mapping[str, TensorProto]:
        """Raises GatewayError. `deadline` is of time.monotonic()."""
        if not target.stages:
            raise unavailable(f"{target.name} can't answer yet: {target.reason}", 2)
        self.in_hand += 1
        try:
            before: Variant | None = None
            tensors = inputs
            for stage in target.stages:
                _check(stage, tensors, before)
                before = pick(stage.variants, self._random)
                tensors = await self._stage(target, stage, before, tensors, deadline, series)
            return tensors
        finally:
            self.in_hand -= 1

    def forget(self) -> None:
        for job in [job for job in self._heads if job not in self._table]:
            del self._heads[job]

    async def _stage(
        self,
        target: Target,
        stage: Stage,
        chosen: Variant,
        inputs: Tensors,
        deadline: float,
        series: Series,
    ) -> Mapping[str, TensorProto]:
        taken = {field.name: inputs[field.name] for field in stage.inputs}
        parts = wire.parts(taken, inputs)
        runtime = await self._runtime(chosen, deadline)
        if len(stage.variants) > 1:
            self._shade(target, stage, chosen, taken, parts, deadline, series)
        answer = await _ask(runtime, chosen, self._message(chosen, parts), deadline)
        try:
            outputs = await wire.outputs(answer, chosen)
        except ValueError as error:
            raise GatewayError(Kind.MODEL, f"{_who(chosen)} broke its contract: {error}") from error
        if lines := list(violations(chosen.contract.outputs, outputs)):
            raise GatewayError(Kind.MODEL, f"{_who(chosen)} broke its contract. {told(lines)}")
        self._sample(target, chosen, taken, outputs)
        return outputs

    def _shade(
        self,
        target: Target,
        stage: Stage,
        chosen: Variant,
        inputs: Tensors,
        parts: wire.Parts,
        deadline: float,
        series: Series,
    ) -> None:
        busy = self._shadows.busy(self.in_hand)
        for variant in stage.variants:
            if variant is chosen:
                continue
            route = self._table.job(variant.job)
            sent = (
                not busy
                and route is not None
                and route.runs
                and self._shadows.send(
                    self._runtimes.of(route),
                    variant,
                    self._message(variant, parts),
                    deadline,
                    partial(self._shaded, target, variant, inputs, series),
                )
            )
            (series.shadows_sent if sent else series.shadows_dropped).inc()

    def _shaded(
        self,
        target: Target,
        variant: Variant,
        inputs: Tensors,
        series: Series,
        outputs: Tensors | None,
    ) -> None:
        if outputs is None:
            series.shadows_failed.inc()
        else:
            self._sample(target, variant, inputs, outputs)

    def _sample(self, target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
        if self._sampler is not no_sampler:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._sampled, target, variant, inputs, outputs)

    def _sampled(self, target: Target, variant: Variant, inputs: Tensors, outputs: Tensors) -> None:
        try:
            self._sampler(target, variant, inputs, outputs)
        except Exception:  # of whoever samples: the answer has gone out already
            log.exception("a sample was not taken")

    def _message(self, variant: Variant, parts: wire.Parts) -> bytes:
        known, head = self._heads.get(variant.job, (None, b""))
        if known is not variant:
            head = wire.head(variant)
            self._heads[variant.job] = (variant, head)
        return wire.request(variant, head, parts)

    async def _runtime(self, variant: Variant, deadline: float) -> Runtime:
        """Of a job that runs. That it does may be news, so it is waited for, for a moment."""
        until = min(deadline, time.monotonic() + self._news)
        while True:
            route = self._table.job(variant.job)
            if route is not None and route.runs:
                return self._runtimes.of(route)
            left = until - time.monotonic()
            comes = route is None or route.state in COMING
            if left <= 0 or not comes or self._waiting >= MOST_WAITING:
                raise unavailable(_why(variant, route), 2)
            self._waiting += 1
            try:
                await self._table.change(left)
            finally:
                self._waiting -= 1


async def _ask(runtime: Runtime, variant: Variant, message: bytes, deadline: float) -> bytes:
    gate = runtime.gate
    async with gate.slot() as admitted:
        if not admitted:
            raise unavailable(
                f"{_who(variant)} works on {gate.places} requests at once and no more can wait",
                gate.retry_after,
            )
        try:
            return await runtime.call(message, deadline)
        except Rejected as error:
            raise rejected(error, _who(variant)) from error
        except Failed as error:
            raise failed(error, _who(variant)) from error


def _check(stage: Stage, tensors: Tensors, before: Variant | None) -> None:
    lines = list(violations(stage.inputs, tensors))
    if not lines:
        return
    if before is None:
        raise GatewayError(Kind.VIOLATION, told(lines))
    who = f"{_who(before)} does not give what the next stage takes"
    raise GatewayError(Kind.MODEL, f"{who}. {told(lines)}")


def _who(variant: Variant) -> str:
    return f"{variant.model}:{variant.version_name}"


def _why(variant: Variant, route: Route | None) -> str:
    if route is None:
        return f"{_who(variant)} is not there"
    if route.state is State.RUNNING:
        return f"no copy of {_who(variant)} takes requests now"
    detail = f": {route.reason}" if route.reason else ""
    return f"{_who(variant)} is {route.state}{detail}"
