"""What is due about a connection, by the clock."""

from __future__ import annotations

import pytest

from shared.unary.faults import ConnectionFault
from shared.unary.serving import Limits
from shared.unary.serving.life import BYE, ECHO, FAREWELL, Due, Life

LIMITS = Limits()


def due(life: Life, now: float, **changes: object) -> Due:
    found = {"greeted": True, "amid": False, "seen": 1, "calls": 0, "last": 0, **changes}
    return life.look(now, **found)


def test_who_does_not_greet_has_ten_seconds() -> None:
    life = Life(LIMITS, 0)
    assert due(life, 9.9, greeted=False) is Due.NOTHING
    assert due(life, 10, greeted=False) is Due.END


def test_who_does_nothing_for_long_is_told_to_go() -> None:
    life = Life(LIMITS, 0)
    for now in range(900):
        life.heard = now
        assert due(life, now) is Due.NOTHING
    life.heard = 900
    assert due(life, 900) is Due.LEAVE


def test_calls_that_were_over_before_anybody_looked_count() -> None:
    life = Life(LIMITS, 0)
    for now in range(0, 5000, 10):
        life.heard = now
        assert due(life, now, last=now // 800 * 2 + 1) is Due.NOTHING


def test_a_long_call_keeps_its_connection() -> None:
    life = Life(LIMITS, 0)
    for now in range(5000):
        life.heard = now
        assert due(life, now, calls=1, last=1) is Due.NOTHING


def test_who_is_silent_is_asked_once_and_has_time_to_answer() -> None:
    life = Life(LIMITS, 0)
    assert [due(life, now) for now in (59, 60, 61, 79.9)] == [
        Due.NOTHING,
        Due.ASK,
        Due.NOTHING,
        Due.NOTHING,
    ]
    life.heard = 79.95
    life.echoed(ECHO)
    assert [due(life, now) for now in (80, 139, 140, 159, 160)] == [
        Due.NOTHING,
        Due.NOTHING,
        Due.ASK,
        Due.NOTHING,
        Due.END,
    ]


def test_what_was_begun_has_to_go_on() -> None:
    life = Life(LIMITS, 0)
    for now in range(100):
        life.heard = now
        assert due(life, now, amid=True, seen=now // 29) is Due.NOTHING
    assert due(life, 117, amid=True, seen=3) is Due.END


def test_who_takes_nothing_has_a_minute() -> None:
    life = Life(LIMITS, 0)
    life.heard = life.full = 5
    assert due(life, 64) is Due.NOTHING
    assert due(life, 65) is Due.END


def test_a_farewell_is_final_once_it_was_heard_or_after_a_while() -> None:
    life = Life(LIMITS, 0)
    life.echoed(BYE)
    assert not life.gone
    life.left = 7
    life.echoed(ECHO)
    assert not life.gone
    assert due(life, 7 + FAREWELL - 0.1) is Due.NOTHING
    assert due(life, 7 + FAREWELL) is Due.FAREWELL
    life.echoed(BYE)
    assert life.gone
    assert due(life, 7 + FAREWELL) is Due.NOTHING


def test_three_pings_too_many_are_let_pass() -> None:
    life = Life(LIMITS, 0)
    for now in range(0, 100, 10):
        life.pinged(now)
    for now in (91, 92, 93):
        life.pinged(now)
    with pytest.raises(ConnectionFault, match="too_many_pings"):
        life.pinged(94)
    life.spoke()
    life.pinged(95)
