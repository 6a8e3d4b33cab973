"""What was measured, beside its anchor."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    ours: str
    anchor: str
    ratio: float  # ours to the anchor, in the anchor's favour where it is less than 1
    note: str


def show(figures: list[Figure]) -> None:
    table = Table(title="Slipway, medians of one run; compare ratios, not machines")
    for heading in ("measured", "Slipway", "anchor", "ratio", "the anchor is"):
        table.add_column(heading)
    for figure in figures:
        table.add_row(figure.what, figure.ours, figure.anchor, f"{figure.ratio:.2f}", figure.note)
    Console().print(table)
