"""What the gateway counts, by application or servable; those that come late share a series."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

from services.router.gateway.errors import Kind
from services.router.meter import NAMED, OTHERS
from shared.telemetry import SECONDS, Telemetry

OK: Final = "OK"


class Meter:
    def __init__(self, telemetry: Telemetry, named: int = NAMED) -> None:
        registry = telemetry.registry
        self._named = named
        self._seen: dict[str, Series] = {}
        self.requests = Counter(
            "slipway_gateway_requests",
            "Predictions, by application or servable and by how they ended",
            ("target", "outcome"),
            registry=registry,
        )
        self.seconds = Histogram(
            "slipway_gateway_seconds",
            "Time that a prediction took, all stages together",
            ("target",),
            buckets=SECONDS,
            registry=registry,
        )
        self.shadows = Counter(
            "slipway_gateway_shadows",
            "Copies of requests for variants that were not to answer, by what became of them",
            ("target", "outcome"),
            registry=registry,
        )
        self.violations = Counter(
            "slipway_gateway_violations",
            "Predictions in which a caller or a model broke a contract",
            ("target", "by"),
            registry=registry,
        )

    def of(self, target: str) -> Series:
        series = self._seen.get(target)
        if series is None:
            label = target if len(self._seen) < self._named else OTHERS
            series = self._seen.get(label) or self._seen.setdefault(label, Series(self, label))
        return series


class Series:
    def __init__(self, meter: Meter, label: str) -> None:
        self._requests, self._label = meter.requests, label
        self._answered = meter.requests.labels(label, OK)
        self._seconds = meter.seconds.labels(label)
        self.shadows_sent = meter.shadows.labels(label, "sent")
        self.shadows_dropped = meter.shadows.labels(label, "dropped")
        self.shadows_failed = meter.shadows.labels(label, "failed")
        self._violations = meter.violations

    def answered(self, seconds: float) -> None:
        self._answered.inc()
        self._seconds.observe(seconds)

    def failed(self, kind: Kind, seconds: float) -> None:
        self._requests.labels(self._label, str(kind)).inc()
        self._seconds.observe(seconds)
        if kind is Kind.VIOLATION:
            self._violations.labels(self._label, "caller").inc()
        elif kind is Kind.MODEL:
            self._violations.labels(self._label, "model").inc()
