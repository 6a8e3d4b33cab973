from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from services.builder.profiles.categories import Categories
from services.builder.profiles.compare import FEWEST, Sketch, distances, js, ks
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts


def numbers(values: object) -> Numbers:
    made = Numbers()
    made.add(np.asarray(values))
    return made


def categories(*values: str) -> Categories:
    made = Categories()
    made.add(values)
    return made


def texts(*values: str) -> Texts:
    made = Texts()
    made.add(values)
    return made


def images(values: object) -> Images:
    made = Images()
    made.add(np.asarray(values))
    return made


def drifted(training: Sketch, traffic: Sketch) -> set[str]:
    return {each.metric for each in distances(training, traffic) if each.drifted}


@pytest.mark.parametrize("seed", range(30))
def test_more_of_the_same_is_no_drift(seed: int) -> None:
    random = np.random.default_rng(seed)
    assert not drifted(numbers(random.normal(size=3000)), numbers(random.normal(size=60)))
    letters = random.choice(list("abcdef"), size=3000)
    assert not drifted(categories(*letters), categories(*random.choice(list("abcdef"), size=60)))


def test_numbers_that_moved_are_far() -> None:
    random = np.random.default_rng(5)
    assert drifted(numbers(random.normal(size=3000)), numbers(random.normal(1, size=500))) == {
        "psi",
        "ks",
    }


def test_the_ks_distance_is_that_of_scipy() -> None:
    random = np.random.default_rng(6)
    ours, theirs = random.normal(size=4000), random.normal(0.5, 2, size=3000)
    found = ks(numbers(ours), numbers(theirs))
    assert found.value == pytest.approx(stats.ks_2samp(ours, theirs).statistic, abs=0.03)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30).filter(
        lambda pairs: all(sum(side) > 0.01 for side in zip(*pairs, strict=True))
    )
)
@settings(deadline=None)
def test_the_js_distance_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    p, q = (np.array(side) for side in zip(*pairs, strict=True))
    with np.errstate(invalid="ignore"):  # scipy takes the root of less than 0 for the same shares
        theirs = np.nan_to_num(jensenshannon(p, q, base=2))
    assert js(p, q, (100, 100)).value == pytest.approx(theirs, abs=1e-4)


def test_categories_that_nobody_knew_are_told() -> None:
    training, traffic = categories(*"ab" * 100), categories(*"abab" * 20, *"z" * 40)
    found = {each.metric: each for each in distances(training, traffic)}
    assert found["new"].value == pytest.approx(1 / 3, abs=1e-5)
    assert {"psi", "new"} <= drifted(training, traffic)


def test_another_script_and_other_words_are_told() -> None:
    english, russian = texts(*["the quick fox"] * 100), texts(*["тихая лисица"] * 100)
    assert {"script_js", "words_js"} <= drifted(english, russian)
    assert not drifted(english, english)


def test_darker_and_smaller_images_are_told() -> None:
    random = np.random.default_rng(7)
    ours = images(random.integers(100, 255, (80, 8, 8, 3)))
    theirs = images(random.integers(0, 100, (80, 6, 8, 3)))
    assert {"brightness_ks", "sizes_js"} <= drifted(ours, theirs)


def test_a_few_rows_and_two_kinds_say_nothing() -> None:
    many = numbers(np.arange(1000.0))
    assert distances(many, numbers(np.arange(float(FEWEST - 1)))) == ()
    assert distances(many, categories(*"ab" * 100)) == ()


def test_one_value_alone_can_be_compared() -> None:
    same = numbers(np.full(100, 3.0))
    assert not drifted(same, same)
    assert drifted(same, numbers(np.full(100, 4.0))) == {"psi", "ks"}
