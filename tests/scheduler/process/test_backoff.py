"""When a server that ended is started again."""

from __future__ import annotations

import pytest

from services.scheduler.drivers.process.supervisor.backoff import (
    FIRST,
    FREE,
    MOST,
    Again,
    Ends,
    Never,
    after,
    growing,
    reason,
)


def test_a_clean_end_is_followed_at_once_by_another_life() -> None:
    assert after(Ends(), 0, 0.5) == Again(Ends(restarts=1), 0.0)


def test_clean_but_hasty_ends_in_a_row_slow_down() -> None:
    ends, delays = Ends(), []
    for _ in range(FREE + 3):
        following = after(ends, 0, 0.01)
        assert isinstance(following, Again)
        ends = following.ends
        delays.append(following.delay)
    assert delays[:FREE] == [0.0] * FREE
    assert delays[FREE:] == [FIRST, FIRST * 2, FIRST * 4]


def test_a_life_that_served_ends_the_haste() -> None:
    following = after(Ends(restarts=9, hasty=9), 0, 0.2)
    assert following == Again(Ends(restarts=10), 0.0)


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    assert after(Ends(), 1, 0.1) == Again(Ends(restarts=1, failures=1), FIRST)
    assert after(Ends(3, 3), 1, 0.1) == Again(Ends(4, 4), FIRST * 8)
    assert growing(1000) == MOST


def test_a_healthy_life_forgives_failures() -> None:
    assert after(Ends(7, 7), 1, 11.0) == Again(Ends(8, 1), FIRST)
    assert after(Ends(7, 7), 0, 11.0) == Again(Ends(8, 0), 0.0)


def test_a_short_clean_life_does_not() -> None:
    assert after(Ends(7, 7), 0, 1.0) == Again(Ends(8, 7), 0.0)


def test_a_server_that_says_it_can_never_start_is_believed() -> None:
    assert after(Ends(), 78, 0.1) == Never(Ends(failures=1))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-15, "signal 15"),
        (-9, "out of memory"),
        (137, "out of memory"),
    ],
)
def test_a_reason_says_what_happened(code: int, said: str) -> None:
    assert said in reason(code)
