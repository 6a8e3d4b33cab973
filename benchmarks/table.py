"""What was measured, beside its anchor, and beside what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table


class Limit(msgspec.Struct, frozen=True):
    """What was asked of a figure, in words, and whether it is so."""

    asked: str
    met: bool

    def __str__(self) -> str:
        return f"{self.asked}: {'met' if self.met else 'MISSED'}"


def at_least(measured: float, least: float, unit: str = "") -> Limit:
    return Limit(f"at least {least:,g}{unit}", measured >= least)


def at_most(measured: float, most: float, unit: str = "") -> Limit:
    return Limit(f"at most {most:,g}{unit}", measured <= most)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    ours: str
    anchor: str = ""
    ratio: float | None = None  # ours to the anchor; below 1 the anchor does better
    note: str
    limit: Limit | None = None


def table(figures: Sequence[Figure]) -> Table:
    """All of them; those of which nothing was asked have nothing in that column."""
    drawn = Table(title="Slipway, medians of one run; compare ratios, not machines")
    for heading in ("measured", "Slipway", "asked for", "anchor", "ratio", "the anchor is; notes"):
        drawn.add_column(heading)
    for figure in figures:
        drawn.add_row(
            figure.what,
            figure.ours,
            str(figure.limit or ""),
            figure.anchor,
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.note,
        )
    return drawn


def missed(figures: Sequence[Figure]) -> list[Figure]:
    """Those that are not as was asked."""
    return [figure for figure in figures if figure.limit is not None and not figure.limit.met]


def show(figures: Sequence[Figure]) -> None:
    Console().print(table(figures))
    for figure in missed(figures):
        asked = figure.limit.asked if figure.limit else ""
        print(f"missed: {figure.what}: {figure.ours}, and {asked} was asked for")
