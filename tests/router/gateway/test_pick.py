"""Who answers is drawn by the weights as written."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from random import Random

import pytest

from services.router.gateway.pick import pick
from services.router.gateway.targets import of_application
from tests.router.gateway.conftest import application, model

DRAWS = 10_000


def drawn(*weights: int) -> Counter[str]:
    stage = tuple((model(f"j{n}"), weight) for n, weight in enumerate(weights))
    (found,) = of_application(application("a", stage)).stages
    random = Random(20261121)
    return Counter(pick(found.variants, random).job for _ in range(DRAWS))


@pytest.mark.parametrize("weights", [(80, 20), (20, 80), (50, 50), (1, 99), (30, 30, 40)])
def test_each_answers_as_often_as_its_weight_says(weights: tuple[int, ...]) -> None:
    found = drawn(*weights)
    for n, weight in enumerate(weights):
        share = weight / 100
        error = 4 * sqrt(DRAWS * share * (1 - share))  # one seed in 16,000 is beyond
        assert abs(found[f"j{n}"] - DRAWS * share) < error


def test_a_shadow_never_answers() -> None:
    assert drawn(0, 100, 0) == {"j1": DRAWS}


def test_one_alone_always_answers_whatever_its_weight() -> None:
    assert drawn(0) == {"j0": DRAWS}
