"""How far traffic is from the training data, and from which distance on that is worth telling.

- PSI, the population stability index: sum of (p - q) ln(p / q) over bins that hold a tenth of the
  training data each, or over categories; by common use more than 0.2 is a shift.
- KS, Kolmogorov and Smirnov's: the largest difference between the two distribution functions.
- JS, the Jensen-Shannon distance to base 2: 0 for the same shares, 1 for nothing in common.

Few rows differ by chance alone, so a threshold is never below what chance explains in all but one
of a thousand comparisons, about.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from services.builder.profiles.categories import Categories
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts
from shared.profile import tidy

PSI: Final = 0.2
KS: Final = 0.1
JS: Final = 0.2
BINS: Final = 10
POINTS: Final = 200
LEAST: Final = 1e-4  # the share that nothing counts as, so that PSI stays finite
CHANCE: Final = 1.95  # of KS, at one in a thousand
FEWEST: Final = 50  # rows on both sides below which nothing is said
CATEGORIES: Final = 100  # the most frequent of the training data; what is left counts as one

Sketch = Numbers | Categories | Texts | Images


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    metric: str
    value: float
    threshold: float

    @property
    def drifted(self) -> bool:
        return self.value > self.threshold


def distances(training: Sketch, traffic: Sketch) -> tuple[Distance, ...]:
    """What can be said; nothing while either has too few rows, or they are of two kinds."""
    if min(training.rows, traffic.rows) < FEWEST:
        return ()
    match training, traffic:
        case Numbers(), Numbers():
            return (psi_of_numbers(training, traffic), ks(training, traffic))
        case Categories(), Categories():
            return tuple(_categories(training, traffic))
        case Texts(), Texts():
            return tuple(_texts(training, traffic))
        case Images(), Images():
            return tuple(_images(training, traffic))
    return ()


def psi_of_numbers(training: Numbers, traffic: Numbers) -> Distance:
    ranks = [n / BINS for n in range(1, BINS)]
    edges = sorted(set(training.quantiles.get_quantiles(ranks)))
    return _psi(training.shares(edges), traffic.shares(edges), training.rows, traffic.rows)


def ks(training: Numbers, traffic: Numbers, name: str = "ks") -> Distance:
    ranks = [n / POINTS for n in range(POINTS + 1)]
    points = sorted(
        {*training.quantiles.get_quantiles(ranks), *traffic.quantiles.get_quantiles(ranks)}
    )
    apart = np.cumsum(training.shares(points)) - np.cumsum(traffic.shares(points))
    chance = CHANCE * math.sqrt(1 / training.rows + 1 / traffic.rows)
    return Distance(
        metric=name, value=tidy(float(np.abs(apart).max())), threshold=tidy(max(KS, chance))
    )


def js(p: Any, q: Any, rows: tuple[int, int], name: str = "js") -> Distance:
    """`p` and `q` are shares of the same things."""
    value = _jensen_shannon(p, q) if np.sum(p) and np.sum(q) else 0.0
    chance = math.sqrt(3 * len(p) * (1 / rows[0] + 1 / rows[1]) / (8 * math.log(2)))
    return Distance(metric=name, value=tidy(value), threshold=tidy(max(JS, chance)))


def _jensen_shannon(p: Any, q: Any) -> float:
    p, q = p / np.sum(p), q / np.sum(q)
    middle = (p + q) / 2
    apart = sum(
        float(
            np.sum(side * np.log2(np.divide(side, middle, out=np.ones_like(side), where=side > 0)))
        )
        for side in (p, q)
    )
    return math.sqrt(max(0.0, apart / 2))


def _psi(p: Any, q: Any, n: int, m: int, name: str = "psi") -> Distance:
    p, q = np.maximum(p, LEAST), np.maximum(q, LEAST)
    value = float(np.sum((q - p) * np.log(q / p)))
    chance = 3 * max(1, len(p) - 1) * (1 / n + 1 / m)
    return Distance(metric=name, value=tidy(value), threshold=tidy(max(PSI, chance)))


def _categories(training: Categories, traffic: Categories) -> Iterator[Distance]:
    p, q = _shares(training.counts(CATEGORIES), training.rows, traffic.counts(), traffic.rows)
    yield _psi(p, q, training.rows, traffic.rows)
    yield js(p, q, (training.rows, traffic.rows))
    known = training.counts()
    new = sum(count for value, count in traffic.counts().items() if value not in known)
    if training.distinct <= len(known):  # else a value may be known and not kept
        threshold = max(0.05, 3 / math.sqrt(traffic.rows))
        yield Distance(metric="new", value=tidy(new / traffic.rows), threshold=tidy(threshold))


def _texts(training: Texts, traffic: Texts) -> Iterator[Distance]:
    yield ks(training.length, traffic.length, "length_ks")
    rows = (training.rows, traffic.rows)
    p, q = _shares(
        training.scripts, training.scripts.total(), traffic.scripts, traffic.scripts.total()
    )
    yield js(p, q, rows, "script_js")
    ours, theirs = training.words, traffic.words
    if ours.rows and theirs.rows:
        p, q = _shares(ours.counts(CATEGORIES), ours.rows, theirs.counts(), theirs.rows)
        yield js(p, q, (ours.rows, theirs.rows), "words_js")


def _images(training: Images, traffic: Images) -> Iterator[Distance]:
    yield ks(training.brightness, traffic.brightness, "brightness_ks")
    for name in ("sizes", "channels"):
        ours, theirs = getattr(training, name), getattr(traffic, name)
        p, q = _shares(ours.counts(CATEGORIES), ours.rows, theirs.counts(), theirs.rows)
        yield js(p, q, (training.rows, traffic.rows), f"{name}_js")


def _shares(
    ours: Mapping[str, int], our_rows: int, theirs: Mapping[str, int], their_rows: int
) -> tuple[Any, Any]:
    """The shares of what `ours` names, and of all else, on both sides."""
    names = list(ours)
    p = [ours[name] / max(1, our_rows) for name in names]
    q = [theirs.get(name, 0) / max(1, their_rows) for name in names]
    return np.array([*p, max(0.0, 1 - sum(p))]), np.array([*q, max(0.0, 1 - sum(q))])
