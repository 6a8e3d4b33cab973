"""Distances from training data as operators' tools read them. Every builder shows the same ones."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from prometheus_client import Gauge

from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.run import pause
from shared.telemetry import Telemetry

log = logging.getLogger(__name__)

DRIFTS = sql(__package__, "drifts")

OFTEN: Final = 15.0  # seconds between two looks
MOST: Final = 1_000  # series of each kind: the fields that are farthest


class DriftMeter:
    def __init__(self, database: Database, telemetry: Telemetry) -> None:
        self._database = database
        labels = ("project", "model", "version", "field", "metric")
        self.distance = Gauge(
            "slipway_model_distance",
            "How far the last day's traffic of a field is from its training data",
            labels,
            registry=telemetry.registry,
        )
        self.threshold = Gauge(
            "slipway_model_distance_threshold",
            "The distance from which on a field counts as drifted",
            labels,
            registry=telemetry.registry,
        )

    async def look(self) -> None:
        rows = await self._database.fetch(DRIFTS, MOST)
        self.distance.clear()
        self.threshold.clear()
        for row in rows:
            *labels, value, threshold = row.values()
            self.distance.labels(*labels).set(value)
            self.threshold.labels(*labels).set(threshold)

    async def loop(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.look()
            except Transient as error:
                log.warning("distances stay as they are: %s", error)
            await pause(OFTEN, stopping)
