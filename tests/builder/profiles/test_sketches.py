"""What sketches say is what numpy and scipy say of the whole, however it was cut and merged."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.builder.profiles.categories import EXACT, Categories
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.texts import Texts, script

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=300), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_moments_are_those_of_the_whole_however_it_is_cut(values: list[float], cuts: int) -> None:
    whole = Numbers()
    for part in np.array_split(np.array(values), cuts):
        piece = Numbers()
        piece.add(part)
        whole.merge(Numbers.load(piece.dump()))
    summary = whole.summary()
    assert summary.rows == len(values)
    assert summary.mean == pytest.approx(np.mean(values), rel=1e-4, abs=1e-4)
    assert summary.deviation == pytest.approx(np.std(values), rel=1e-4, abs=1e-4)
    assert summary.least == pytest.approx(min(values), rel=1e-5)
    assert summary.most == pytest.approx(max(values), rel=1e-5)


def test_the_shape_of_a_distribution_is_told() -> None:
    values = np.random.default_rng(1).gamma(2, 3, 20_000)
    numbers = Numbers()
    for part in np.array_split(values, 9):
        numbers.add(part)
    summary = numbers.summary()
    assert summary.skewness == pytest.approx(stats.skew(values), rel=1e-3)
    assert summary.kurtosis == pytest.approx(stats.kurtosis(values), rel=1e-3)
    for rank, at in summary.quantiles.items():
        assert np.mean(values <= at) == pytest.approx(float(rank), abs=0.02)
    assert sum(each.share for each in summary.histogram) == pytest.approx(1, abs=0.01)


def test_what_is_no_number_is_counted_apart() -> None:
    numbers = Numbers()
    numbers.add(np.array([1.0, math.nan, math.inf, -math.inf, 1e300, 3.0]))
    assert (numbers.rows, numbers.empty) == (2, 4)
    assert numbers.summary().mean == 2
    assert Numbers().summary().mean is None


def test_one_value_alone_has_a_histogram_and_no_shape() -> None:
    numbers = Numbers()
    numbers.add(np.full(10, 7.0))
    summary = numbers.summary()
    assert (summary.deviation, summary.skewness, len(summary.histogram)) == (0, None, 1)


@given(st.lists(st.sampled_from("abcdefg"), max_size=200), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_few_categories_are_counted_exactly(values: list[str], cuts: int) -> None:
    whole = Categories()
    for at in range(cuts):
        piece = Categories()
        piece.add(values[at::cuts])
        whole.merge(Categories.load(piece.dump()))
    assert whole.counts() == dict(Counter(values))
    assert whole.distinct == len(set(values))


def test_many_categories_keep_the_frequent_ones_and_their_number() -> None:
    values = [str(int(n)) for n in np.random.default_rng(2).zipf(1.3, 40_000)]
    whole = Categories()
    for at in range(4):
        piece = Categories()
        piece.add(values[at::4])
        whole.merge(Categories.load(piece.dump()))
    real = Counter(values)
    assert len(real) > EXACT
    assert whole.distinct == pytest.approx(len(real), rel=0.1)
    assert list(whole.counts(5)) == [value for value, _ in real.most_common(5)]
    assert all(count <= real[value] for value, count in whole.counts().items())


def test_texts_are_known_by_length_words_and_script() -> None:
    texts = Texts()
    texts.add(["Hello world", "привет", None, ""])
    kept = Texts.load(texts.dump()).summary()
    assert kept.rows == 3
    assert kept.length.most == 11
    assert kept.words.common == {"hello": 1, "world": 1, "привет": 1}
    assert set(kept.scripts) == {"latin", "cyrillic"}
    assert script("漢") == "cjk"


@pytest.mark.parametrize(
    ("shape", "rows", "size", "channels"),
    [
        ((28, 28), 1, "28x28", "1"),
        ((28, 30, 3), 1, "28x30", "3"),
        ((5, 28, 30, 3), 5, "28x30", "3"),
        ((5, 28, 30), 5, "28x30", "1"),
    ],
)
def test_images_are_read_with_channels_and_without(
    shape: tuple[int, ...], rows: int, size: str, channels: str
) -> None:
    images = Images()
    images.add(np.full(shape, 100, dtype=np.uint8))
    summary = Images.load(images.dump()).summary()
    assert summary.rows == rows
    assert summary.sizes.common == {size: rows}
    assert summary.channels.common == {channels: rows}
    assert summary.brightness.mean == 100


def test_what_is_no_image_is_left_out() -> None:
    images = Images()
    images.add(np.zeros(7))
    images.add(np.zeros((0, 3, 3)))
    assert images.rows == 0
