"""Money is rounded once, and lines add up; spans of time are read in one way."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import csv, period
from services.api.money import money, part
from shared.errors import Invalid

COSTS = st.lists(st.decimals(0, 10**12, places=12, allow_nan=False), max_size=50)


@given(COSTS)
def test_lines_add_up_to_the_total_and_each_is_within_a_millionth(costs: list[Decimal]) -> None:
    sums = list(accumulate(costs))
    lines = [part(cost, upto) for cost, upto in zip(costs, sums, strict=True)]
    assert sum(lines, Decimal(0)) == money(sum(costs, Decimal(0)))
    assert Fraction(money(sum(costs, Decimal(0)))) * 10**6 == round(
        sum(map(Fraction, costs), Fraction(0)) * 10**6 / 3600
    )
    for cost, line in zip(costs, lines, strict=True):
        assert line >= 0
        assert abs(Fraction(line) - Fraction(cost) / 3600) < Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ("0", "0.000000"),
        ("0.0018", "0.000000"),
        ("0.0054", "0.000002"),
        ("3600e9", "1000000000.000000"),
    ],
)
def test_halves_go_to_the_even(cost: str, said: str) -> None:
    assert str(money(Decimal(cost))) == said


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_any_moment_is_read_back_to_the_microsecond(at: datetime) -> None:
    assert period.moment("from", at.isoformat()) == at
    assert period.of_micros(period.micros(at)) == at
    assert period.moment("from", at.strftime("%Y-%m").zfill(7)) == period.first(at)


@given(st.integers(1, 9998), st.integers(1, 12))
def test_a_month_ends_where_the_next_one_begins(year: int, number: int) -> None:
    begins, ends = period.month("month", f"{year:04}-{number:02}")
    assert (begins.year, begins.month, begins.day) == (year, number, 1)
    assert ends == period.first(ends) > begins
    assert (ends - begins).days in (28, 29, 30, 31)


@given(st.text(max_size=20))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    try:
        found = period.moment("from", text)
    except Invalid as error:
        wrong = error.field
    else:
        wrong = "from" if found.tzinfo is UTC else ""
    assert wrong == "from"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "\uff1d1"])
def test_a_cell_that_would_be_a_formula_is_text(text: str) -> None:
    assert csv.written(["x"], [[text]]).split("\r\n")[1].strip('"').startswith("'")


def test_numbers_and_what_is_missing_are_left_as_they_are() -> None:
    assert csv.written(["a", "b", "c"], [[None, Decimal("-1.5"), 'say "a,b"']]) == (
        'a,b,c\r\n,-1.5,"say ""a,b"""\r\n'
    )
