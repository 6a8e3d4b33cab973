"""Tells when a process stands still: its event loop is held up, or all of it was stopped.

Whoever blocks the loop blocks the one who could say so, so a thread looks whether it still turns,
and writes down where it stands. It ends nothing: what a process has to be alive for is guarded by
others (leases end in PostgreSQL, and a late scheduler's writes are refused).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from typing import Final

from shared.run import Loop, pause
from shared.telemetry import FloorTelemetry

log = logging.getLogger(__name__)

LIMIT: Final = 2.0  # seconds without a turn after which it is told
FRAMES: Final = 12  # of where it stands, the innermost


def watchdog(telemetry: FloorTelemetry, *, limit: float = LIMIT) -> Loop:
    """A loop that notes that it turns, and tells when it did not for `limit` seconds."""

    async def loop(stopping: asyncio.Event) -> None:
        watch = _Watch(telemetry, limit, threading.get_ident())
        watch.start()
        try:
            while not stopping.is_set():
                watch.turned = time.monotonic()
                await pause(limit / 4, stopping)
        finally:
            watch.over.set()

    return loop


class _Watch(threading.Thread):
    def __init__(self, telemetry: FloorTelemetry, limit: float, watched: int) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.turned = time.monotonic()
        self.over = threading.Event()
        self._telemetry = telemetry
        self._limit = limit
        self._watched = watched

    def run(self) -> None:
        told = 0.0  # the turn after which a stand-still was told
        while not self.over.wait(self._limit / 4):
            turned, still = self.turned, time.monotonic() - self.turned
            if still > self._limit and turned != told:
                told = turned
                log.error("nothing has moved for %.1f s; it stands at\n%s", still, self._where())
                self._telemetry.stalls.inc()  # what is counted has been told

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)
        return "".join(traceback.format_stack(frame)[-FRAMES:]) if frame else "a place unknown"
