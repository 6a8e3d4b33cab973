"""What operators see of the queue and the GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from services.scheduler.store import Snapshot
from shared.telemetry import Telemetry

SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0)


class Metrics:
    def __init__(self, telemetry: Telemetry) -> None:
        registry = telemetry.registry
        self._queue = Gauge(
            "slipway_queue_jobs", "Jobs that wait for GPUs (at most 10,000)", registry=registry
        )
        self._jobs = Gauge(
            "slipway_jobs_at_work", "Jobs that may have processes", ("state",), registry=registry
        )
        self._gpus = Gauge("slipway_gpus", "GPUs that are there", ("type",), registry=registry)
        self._held = Gauge(
            "slipway_gpus_held", "GPUs that are there and held", ("type",), registry=registry
        )
        self._waited = Histogram(
            "slipway_admission_seconds",
            "Time that jobs spent in the queue",
            buckets=SECONDS,
            registry=registry,
        )
        self._steps = Counter(
            "slipway_scheduler_steps", "Steps begun, by kind", ("step",), registry=registry
        )

        self._walls = Gauge(
            "slipway_network_policies_enforced",
            "Whether the cluster keeps replicas apart (NaN: not known, or no cluster)",
            registry=registry,
        )
        self._walls.set(math.nan)

    def walls(self, stand: Callable[[], bool | None]) -> None:
        """Of a target that is a cluster."""
        self._walls.set_function(lambda: math.nan if (found := stand()) is None else float(found))

    def saw(self, snapshot: Snapshot) -> None:
        self._queue.set(sum(waiting.granted == 0 for waiting in snapshot.waiting))
        for gauge in (self._jobs, self._gpus, self._held):
            gauge.clear()
        for work in snapshot.works:
            self._jobs.labels(work.state).inc()
        for slot in snapshot.slots:
            self._gpus.labels(slot.type).inc()
            self._held.labels(slot.type).inc(0 if slot.free else 1)

    def admitted(self, seconds: float) -> None:
        self._waited.observe(seconds)

    def began(self, step: str) -> None:
        self._steps.labels(step).inc()
