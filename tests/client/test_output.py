"""How values and strangers' text are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from slipway.cli.jobs import short
from slipway.cli.output import ago, cell, plain


def test_text_of_strangers_can_not_steer_the_terminal() -> None:
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07\ta\rb\x9b2J\x00") == "red \tab2J"


def test_values_are_shown_for_people() -> None:
    assert [cell(v) for v in (None, True, 1.5, ["a", 1], {"a": 1})] == [
        "",
        "yes",
        "1.5",
        "a, 1",
        "a=1",
    ]


def test_ages_are_rough() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ages = [ago(now - timedelta(seconds=s), now) for s in (-5, 59, 60, 7200, 200_000)]
    assert ages == ["0 s", "59 s", "1 min", "2 h", "2 d"]


def test_a_long_reason_is_cut_in_a_table() -> None:
    assert short("one\ntwo") == "one"
    assert short("x" * 100) == "x" * 100
    assert short("x" * 101) == "x" * 98 + " …"
