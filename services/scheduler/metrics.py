"""What operators see of the queue and the GPUs."""

from __future__ import annotations

import math
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

from services.scheduler.store import Snapshot
from shared.endpoint import PRIORITIES
from shared.telemetry import Telemetry

WORK = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0)


class Metrics:
    def __init__(self, telemetry: Telemetry) -> None:
        registry = telemetry.registry
        self._queue = Gauge(
            "slipway_queue_jobs",
            "Jobs in the queue, by class, as of a few seconds ago",
            ("priority",),
            registry=registry,
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

        self._looks = Histogram(
            "slipway_snapshot_seconds",
            "Time to read the queue, the GPUs and the jobs at work",
            buckets=WORK,
            registry=registry,
        )
        self._decisions = Histogram(
            "slipway_decision_seconds",
            "Time to decide who starts, and why others wait",
            buckets=WORK,
            registry=registry,
        )
        self._preemptions = Counter(
            "slipway_preemptions", "Jobs that gave way to others", registry=registry
        )
        self._acting = Gauge(
            "slipway_scheduler_acting",
            "1 while this process acts for its target",
            registry=registry,
        )
        self._epoch = Gauge(
            "slipway_scheduler_epoch", "The epoch in which it acts, or last did", registry=registry
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

    def leads(self, acting: Callable[[], bool], epoch: Callable[[], int | None]) -> None:
        """Where to ask whether this process acts, and in which epoch."""
        self._acting.set_function(lambda: float(acting()))
        self._epoch.set_function(lambda: float(epoch() or 0))

    def saw(self, snapshot: Snapshot) -> None:
        classes: Counts[int] = Counts()
        for (_, priority), jobs in snapshot.waiting.items():
            classes[priority] += jobs
        for gauge in (self._queue, self._jobs, self._gpus, self._held):
            gauge.clear()
        for name, priority in PRIORITIES.items():
            self._queue.labels(name).set(classes[priority])
        _set(self._jobs, Counts(work.state.value for work in snapshot.works))
        slots = snapshot.picture.slots
        _set(self._gpus, Counts(slot.type for slot in slots))
        held = Counts({slot.type: 0 for slot in slots})
        held.update(slot.type for slot in slots if slot.job is not None)
        _set(self._held, held)

    @contextmanager
    def looking(self) -> Iterator[None]:
        began = perf_counter()
        yield
        self._looks.observe(perf_counter() - began)

    def decided(self, seconds: float) -> None:
        self._decisions.observe(seconds)

    def preempted(self, jobs: int) -> None:
        self._preemptions.inc(jobs)

    def admitted(self, seconds: float) -> None:
        self._waited.observe(seconds)

    def began(self, step: str) -> None:
        self._steps.labels(step).inc()


def _set(gauge: Gauge, counts: Counts[str]) -> None:
    for label, count in counts.items():
        gauge.labels(label).set(count)
