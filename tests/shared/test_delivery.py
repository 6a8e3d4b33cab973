"""What a failed try means, and who remembers it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from shared.bus import delivery
from shared.bus.delivery import PAUSES, Failures, Park, Settled, Subscription, after, ahead
from shared.errors import Permanent, Transient
from shared.events import Event
from shared.telemetry import FloorTelemetry

EVENT = Event(
    id="1",
    source="/",
    type="slipway.job.queued.v1",
    subject="j1",
    time=datetime(2026, 1, 1, tzinfo=UTC),
    data=msgspec.Raw(b"{}"),
)


def test_pauses_grow_and_the_fifth_failure_is_the_last() -> None:
    decided = [after(OSError("no"), tries, PAUSES) for tries in range(1, 6)]
    assert decided == [0.2, 1.0, 5.0, 25.0, Park("OSError: no", 5)]


def test_what_will_never_work_is_not_tried_again() -> None:
    assert after(Permanent("never"), 1, PAUSES) == Park("permanent: never", 1)


def test_one_at_a_time_takes_nothing_ahead() -> None:
    assert [ahead(n) for n in (1, 2, 16)] == [1, 4, 32]


def test_failures_are_forgotten_when_an_event_is_done_or_long_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "REMEMBERED", 2)
    failures = Failures()
    assert [failures.add("a"), failures.add("a")] == [1, 2]
    failures.forget("a")
    assert [failures.add(event) for event in ("a", "b", "a", "c")] == [1, 1, 2, 1]
    assert failures.add("b") == 1, "only so many are remembered"


async def test_failures_are_remembered_from_one_delivery_to_the_next() -> None:
    """A lost connection in a pause brings the event again: it does not start from nothing."""
    over = asyncio.Event()

    async def fails(_: Event) -> None:
        over.set()
        raise Transient("no")

    telemetry = FloorTelemetry()
    subscription = Subscription("q", fails, at_once=1, pauses=(600.0,), telemetry=telemetry)
    assert await subscription.see_through(EVENT, over) is Settled.BACK
    again = asyncio.Event()
    assert await subscription.see_through(EVENT, again) == Park("Transient: no", 2)


async def test_a_handler_that_hangs_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "LIMIT", 0.01)

    async def hangs(_: Event) -> None:
        await asyncio.Event().wait()

    subscription = Subscription("q", hangs, at_once=1, pauses=(), telemetry=FloorTelemetry())
    outcome = await subscription.see_through(EVENT, asyncio.Event())
    assert isinstance(outcome, Park)
    assert outcome.reason.startswith("TimeoutError")


async def test_operators_see_how_long_handlers_take_and_what_is_parked() -> None:
    async def works(_: Event) -> None: ...

    telemetry = FloorTelemetry()
    subscription = Subscription("builder", works, at_once=1, pauses=(), telemetry=telemetry)
    await subscription.see_through(EVENT, asyncio.Event())
    subscription.parked("it", Park("because", 1))
    shown = telemetry.render().decode()
    assert 'slipway_event_handler_seconds_count{outcome="done",queue="builder"} 1.0' in shown
    assert 'slipway_events_parked_total{queue="builder"} 1.0' in shown
