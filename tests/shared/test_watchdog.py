"""A process that stands still is told of, with the place where it stands."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from shared.telemetry import FloorTelemetry
from shared.watchdog import watchdog


def hog(until: float) -> None:
    while time.monotonic() < until:
        pass


def told(telemetry: FloorTelemetry) -> float:
    return telemetry.registry.get_sample_value("slipway_loop_stalls_total") or 0.0


async def test_C06_a_loop_that_is_held_up_is_told_once_with_where_it_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry, stopping = FloorTelemetry(), asyncio.Event()
    watching = asyncio.create_task(watchdog(telemetry, limit=0.1)(stopping))
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR):
        until = time.monotonic() + 10.0
        while not told(telemetry) and time.monotonic() < until:
            hog(time.monotonic() + 0.05)  # the loop does not turn meanwhile
    stopping.set()
    await watching
    assert told(telemetry) == 1.0
    assert "in hog" in caplog.text or "test_C06" in caplog.text


async def test_a_loop_that_turns_is_let_be() -> None:
    telemetry, stopping = FloorTelemetry(), asyncio.Event()
    watching = asyncio.create_task(watchdog(telemetry, limit=30.0)(stopping))
    for _ in range(100):
        await asyncio.sleep(0)
    stopping.set()
    await watching
    assert told(telemetry) == 0.0
