"""A field's profile as people and dashboards see it: what the API shows and the database keeps."""

from __future__ import annotations

import math

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Bin(Struct, frozen=True, kw_only=True):
    low: float
    high: float
    share: float


class NumbersSummary(Struct, frozen=True, kw_only=True, tag_field="kind", tag="numerical"):
    """`kurtosis` is that above a normal distribution's. None: it can't be told."""

    rows: int
    empty: int = 0  # no number, or not a finite one
    mean: float | None = None
    deviation: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    least: float | None = None
    most: float | None = None
    quantiles: dict[str, float] = {}
    histogram: tuple[Bin, ...] = ()


class CategoriesSummary(Struct, frozen=True, kw_only=True, tag_field="kind", tag="categorical"):
    """`common` has the most frequent values and how often each came, at least."""

    rows: int
    empty: int = 0
    distinct: int = 0  # about
    common: dict[str, int] = {}


class TextSummary(Struct, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    rows: int
    length: NumbersSummary  # in characters
    words: CategoriesSummary
    scripts: dict[str, float] = {}  # Latin, Cyrillic, Han, ...: the part of the letters


class ImageSummary(Struct, frozen=True, kw_only=True, tag_field="kind", tag="image"):
    rows: int
    sizes: CategoriesSummary  # height x width
    channels: CategoriesSummary
    brightness: NumbersSummary  # the mean of each image's values


Summary = NumbersSummary | CategoriesSummary | TextSummary | ImageSummary


def tidy(value: float) -> float:
    """Six digits are enough for anybody, and -0.0 is 0."""
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else 0.0
