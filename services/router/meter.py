"""What the router counts, at the cost of a few additions a request.

Each endpoint has series of its own up to a number; those that come later share one, so that the
number of endpoints can't break what stores the metrics.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry import SECONDS, Telemetry

NAMED: Final = 200  # endpoints with series of their own
OTHERS: Final = "others"
NOBODY: Final = ""  # requests that were for no endpoint


class Meter:
    def __init__(self, telemetry: Telemetry, named: int = NAMED) -> None:
        registry = telemetry.registry
        self._named = named
        self._seen: dict[str, Series] = {}
        self.requests = Counter(
            "slipway_router_requests",
            "Requests answered, by endpoint and class of status",
            ("job", "code"),
            registry=registry,
        )
        self.seconds = Histogram(
            "slipway_router_seconds",
            "Time from a request's head to the end of its answer",
            ("job",),
            buckets=SECONDS,
            registry=registry,
        )
        self.shed = Counter(
            "slipway_router_shed",
            "Requests turned away because an endpoint had no place for them",
            ("job",),
            registry=registry,
        )
        self.in_hand = Gauge(
            "slipway_router_in_hand", "Requests being worked on or waiting", registry=registry
        )

    def of(self, job: str) -> Series:
        """The series of one endpoint."""
        series = self._seen.get(job)
        if series is None:
            crowded = job != NOBODY and len(self._seen) >= self._named
            label = OTHERS if crowded and job != OTHERS else job
            series = self._seen.get(label) or self._seen.setdefault(label, Series(self, label))
        return series


class Series:
    def __init__(self, meter: Meter, job: str) -> None:
        self._codes = {n: meter.requests.labels(job, f"{n}xx") for n in range(1, 6)}
        self._seconds = meter.seconds.labels(job)
        self._shed = meter.shed.labels(job)

    def answered(self, status: int, seconds: float) -> None:
        self._codes[status // 100].inc()
        self._seconds.observe(seconds)

    def turned_away(self) -> None:
        self._shed.inc()
