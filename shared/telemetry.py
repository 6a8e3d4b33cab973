"""What operators watch: Prometheus metrics. A registry each, since services share a process."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0)


class Telemetry:
    """The metrics of one service, which registers them with `registry`.

    What is shown includes `also`, such as the floor that the service stands on.
    """

    def __init__(self, *also: Telemetry) -> None:
        self.registry = CollectorRegistry()
        self._also = also

    def render(self) -> bytes:
        """All of it in Prometheus' text format (CONTENT_TYPE)."""
        return b"".join([generate_latest(self.registry), *(one.render() for one in self._also)])


class FloorTelemetry(Telemetry):
    """The metrics of the process, its bus and its relay."""

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self.registry)
        self.handled = Histogram(
            "slipway_event_handler_seconds",
            "Time that handlers of events took, by queue and by how they ended",
            ("queue", "outcome"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.parked = Counter(
            "slipway_events_parked",
            "Events that nobody could handle and that wait for a person",
            ("queue",),
            registry=self.registry,
        )
        self.announced = Counter(
            "slipway_events_announced",
            "Events that the bus took from this process",
            registry=self.registry,
        )
        self.unannounced = Gauge(
            "slipway_outbox_unannounced",
            "Events that are committed and not yet announced",
            registry=self.registry,
        )
        self.lag = Gauge(
            "slipway_outbox_lag_seconds",
            "Age of the oldest event that is not yet announced",
            registry=self.registry,
        )
        self.stalls = Counter(
            "slipway_loop_stalls",
            "Times that the process stood still for seconds; its log says where",
            registry=self.registry,
        )
