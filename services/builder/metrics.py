"""What operators watch of the builder."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry import SECONDS, Telemetry


class BuilderTelemetry(Telemetry):
    def __init__(self, *also: Telemetry) -> None:
        super().__init__(*also)
        self.in_hand = Gauge(
            "slipway_builds_in_hand", "Versions that are being built here", registry=self.registry
        )
        self.took = Histogram(
            "slipway_build_seconds",
            "Time that builds took, by how they ended: built, failed, again, cancelled",
            ("outcome",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stage = Histogram(
            "slipway_build_stage_seconds",
            "Time that the steps of builds took",
            ("stage",),
            buckets=(*SECONDS, 900.0, 1800.0),
            registry=self.registry,
        )
        self.lost = Counter(
            "slipway_build_leases_lost",
            "Versions that another builder took over from this one",
            registry=self.registry,
        )
