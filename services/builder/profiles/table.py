"""Training data from a CSV file: columns that are named as a contract's fields, into sketches.

The file is a stranger's: its rows, columns and lines are bounded, and what can't be used is told.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import msgspec
import numpy as np

from services.builder.profiles.categories import Categories
from services.builder.profiles.compare import Sketch
from services.builder.profiles.images import Images
from services.builder.profiles.numbers import Numbers
from services.builder.profiles.sketches import profiled
from services.builder.profiles.texts import Texts
from services.builder.profiles.values import shown
from shared.contract import Contract
from shared.errors import Invalid

FIELD: Final = "training-data"
LINE: Final = 1 << 20  # characters
COLUMNS: Final = 10_000
BATCH: Final = 5_000  # rows
MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})


class Training(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    sketches: dict[str, Sketch]  # by the name of the field, such as `inputs.age`
    notes: tuple[str, ...]


def read(path: Path, contract: Contract) -> Training:
    """What the file says about the fields of `contract`; images are in no CSV file.

    Raises Invalid for what is no CSV file of use. Takes long: not for an event loop.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(csv.reader(_lines(file), strict=True), contract)
    except UnicodeDecodeError as error:
        raise Invalid(FIELD, "is not UTF-8 text; only CSV files are read") from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LINE):
        if len(line) == LINE and not line.endswith("\n"):
            raise Invalid(FIELD, f"has a line of more than {LINE} characters")
        yield line


def _read(rows: Iterator[list[str]], contract: Contract) -> Training:
    count = 1
    try:
        header = [name.strip() for name in next(rows, [])]
        columns, notes = _columns(header, contract)
        batch: list[list[str]] = []
        for row in rows:
            count += 1
            if row:
                batch.append(row)
            if len(batch) >= BATCH:
                _count(columns, batch)
                batch = []
        _count(columns, batch)
    except csv.Error as error:
        raise Invalid(FIELD, f"row {count + 1}: {error}") from error
    sketches = dict(columns.values())
    return Training(rows=count - 1, sketches=sketches, notes=notes)


Columns = dict[int, tuple[str, Sketch]]


def _columns(header: list[str], contract: Contract) -> tuple[Columns, tuple[str, ...]]:
    if not any(header):
        raise Invalid(FIELD, "is empty; its first row must name the columns")
    if len(header) > COLUMNS:
        raise Invalid(FIELD, f"has more than the {COLUMNS} columns allowed")
    at = {name: index for index, name in enumerate(header)}
    columns: Columns = {}
    notes = []
    for name, _, kind in profiled(contract):
        column = name.partition(".")[2]
        if kind is Images:
            notes.append(f"{name} is an image, which no CSV file holds")
        elif column not in at:
            notes.append(f"no column is named {column}, so nothing is known of {name}")
        elif at[column] in columns:
            notes.append(f"{name} has the column of another field")
        else:
            columns[at[column]] = (name, kind())
    return columns, tuple(notes)


def _count(columns: Columns, rows: list[list[str]]) -> None:
    for index, (_, sketch) in columns.items():
        cells = [row[index].strip() if index < len(row) else "" for row in rows]
        match sketch:
            case Numbers():
                sketch.add(np.array([_number(cell) for cell in cells], dtype=np.float64))
            case Categories():
                sketch.add(_category(cell) for cell in cells)
            case Texts():
                sketch.add(cells)
            case Images():
                pass


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float(cell.lower() == "true") if cell.lower() in ("true", "false") else float("nan")


def _category(cell: str) -> str | None:
    """As the same number in a tensor is shown, should it be one."""
    low = cell.lower()
    if low in MISSING:
        return None
    if low in ("true", "false"):
        return low
    try:
        return shown(float(cell))
    except ValueError:
        return cell
