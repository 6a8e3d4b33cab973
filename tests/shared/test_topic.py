"""Topics match as RabbitMQ matches them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.topic import matches

WORDS = st.lists(st.sampled_from(["a", "b", "slipway"]), min_size=1, max_size=6).map(".".join)
PATTERNS = st.lists(st.sampled_from(["a", "b", "slipway", "*", "#"]), min_size=1, max_size=6).map(
    ".".join
)


@pytest.mark.parametrize(
    ("pattern", "topic", "yes"),
    [
        ("slipway.job.queued.v1", "slipway.job.queued.v1", True),
        ("slipway.job.queued.v1", "slipway.job.queued.v2", False),
        ("slipway.job.*.v1", "slipway.job.queued.v1", True),
        ("slipway.job.*", "slipway.job.queued.v1", False),
        ("slipway.job.#", "slipway.job.queued.v1", True),
        ("slipway.job.#", "slipway.job", True),
        ("slipway.job.#", "slipway.jobs.queued", False),
        ("#", "anything.at.all", True),
        ("#.v1", "slipway.job.queued.v1", True),
        ("#.v1", "v1", True),
        ("#.job.#", "job", True),
        ("#.#", "job", True),
        ("*.#", "job", True),
        ("*", "two.words", False),
        ("slipway.#.v1", "slipway.v1", True),
        ("slipway.*.v1", "slipway.v1", False),
    ],
)
def test_a_topic_means(pattern: str, topic: str, yes: bool) -> None:
    assert matches(pattern, topic) is yes


@given(PATTERNS, WORDS)
def test_it_agrees_with_the_regular_expression_that_a_pattern_is(pattern: str, topic: str) -> None:
    parts = {"*": r"\.[^.]+", "#": r"(?:\.[^.]+)*"}
    expression = "".join(parts.get(part, re.escape(f".{part}")) for part in pattern.split("."))
    assert matches(pattern, topic) is bool(re.fullmatch(expression, f".{topic}"))


@given(WORDS)
def test_every_topic_matches_itself(topic: str) -> None:
    assert matches(topic, topic)


def test_many_wildcards_take_no_longer_than_few() -> None:
    assert not matches(".".join(["#", "*"] * 100 + ["z"]), ".".join(["a"] * 200))
