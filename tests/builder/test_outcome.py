"""What follows from a try that did not succeed."""

from __future__ import annotations

import msgspec
import pytest

from services.builder.claims import Failed
from services.builder.outcome import Again, after_error, after_trouble, before
from shared.endpoint import Definition
from tests.builder import made

HELD = made.claim(Definition(source="sha256:" + "a" * 64, endpoints=(made.endpoint(),)))


@pytest.mark.parametrize(
    ("troubles", "troubled", "given_up"),
    [
        (0, 0.0, False),
        (100, 3599.0, False),
        (4, 3600.0, True),
        (3, 90_000.0, False),  # the platform was away for a day: that is not the registry's fault
    ],
)
def test_trouble_is_given_up_when_it_lasts_long_and_was_met_often(
    troubles: int, troubled: float, given_up: bool
) -> None:
    held = msgspec.structs.replace(HELD, troubles=troubles, troubled=troubled)
    assert isinstance(after_trouble(held, "away", 3600.0), Failed) == given_up


def test_pauses_grow_up_to_a_minute() -> None:
    ends = [
        after_trouble(msgspec.structs.replace(HELD, troubles=tries), "away", 60.0)
        for tries in (0, 1, 2, 10, 10_000)
    ]
    assert [end.pause for end in ends if isinstance(end, Again)] == [3.0, 6.0, 12.0, 60.0, 60.0]


def test_an_error_of_ours_is_counted_and_given_up_the_third_time() -> None:
    assert after_error(HELD) == Again(pause=3.0, errors=1)
    assert isinstance(after_error(msgspec.structs.replace(HELD, errors=2)), Failed)


def test_what_ended_many_builders_is_not_begun() -> None:
    assert before(msgspec.structs.replace(HELD, claims=20)) is None
    assert isinstance(before(msgspec.structs.replace(HELD, claims=21)), Failed)
