"""Which events a topic means, by RabbitMQ's rules, so that both buses agree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache


@lru_cache(maxsize=4096)
def matches(pattern: str, topic: str) -> bool:
    """`*` stands for one word between dots, `#` for any number of them, also none.

    >>> matches("slipway.job.#", "slipway.job.queued.v1"), matches("*.job", "slipway.gpu")
    (True, False)
    """
    return _matches(pattern.split("."), topic.split("."))


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    # reached[i]: the pattern so far can end after i words; linear, however many `#` there are
    reached = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            first = reached.index(True) if True in reached else len(reached)
            reached = [at >= first for at in range(len(reached))]
        else:
            fits = [part in ("*", word) for word in words]
            reached = [False] + [reached[at] and fits[at] for at in range(len(words))]
    return reached[-1]
