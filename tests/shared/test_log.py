from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from shared.errors import Permanent, Transient
from shared.log import Lines


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    root = logging.getLogger()
    was = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(was)


def told(error: Exception, level: int = logging.WARNING) -> str:
    try:
        raise error from OSError("the cause")
    except Exception:
        record = logging.LogRecord("x", level, "x.py", 1, "trouble", (), sys.exc_info())
    return str(json.loads(Lines().format(record))["error"])


def test_trouble_that_passes_is_told_in_a_line() -> None:
    assert told(Transient("the registry is away")) == "Transient: the registry is away"


def test_at_debug_it_is_told_where_trouble_came_from() -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    assert "the cause" in told(Transient("the registry is away"))


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Permanent("never"), logging.WARNING),
        (ValueError("a bug"), logging.WARNING),
        (Transient("away"), logging.ERROR),
    ],
)
def test_what_was_not_foreseen_is_told_with_where_it_came_from(
    error: Exception, level: int
) -> None:
    assert told(error, level).startswith("OSError: the cause\n\nThe above exception")
