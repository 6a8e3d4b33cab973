"""Categories: how often each value came, exactly while they are few, and about how many there are.

Beyond 1,000 values the frequent ones are kept by a Misra-Gries sketch (datasketches' frequent
strings) and the number of distinct ones is that of a CPC sketch (within 3 %).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from datasketches import cpc_sketch, cpc_union, frequent_items_error_type, frequent_strings_sketch

from shared.profile import CategoriesSummary

EXACT: Final = 1_000
SHOWN: Final = 50
LONGEST: Final = 200  # characters of a value; more are cut off
LG_SIZE: Final = 12  # of the sketch of frequent values: 4,096 counters
LG_DISTINCT: Final = 11


class _Kept(msgspec.Struct, frozen=True):
    rows: int
    empty: int
    exact: dict[str, int] | None
    frequent: bytes
    distinct: bytes


class Categories:
    def __init__(self) -> None:
        self.rows = 0
        self.empty = 0
        self._exact: dict[str, int] | None = {}
        self._frequent = frequent_strings_sketch(LG_SIZE)
        self._distinct = cpc_sketch(LG_DISTINCT)

    def add(self, values: Iterable[str | None]) -> None:
        counts: dict[str, int] = {}
        for value in values:
            if value is None:
                self.empty += 1
                continue
            short = value[:LONGEST].replace("\0", "\ufffd")  # which no jsonb can hold
            counts[short] = counts.get(short, 0) + 1
        self._count(counts)
        for value in counts:
            self._distinct.update(value)
        self.rows += sum(counts.values())

    def merge(self, other: Categories) -> None:
        self.rows += other.rows
        self.empty += other.empty
        union = cpc_union(LG_DISTINCT)
        union.update(self._distinct)
        union.update(other._distinct)
        self._distinct = union.get_result()
        if other._exact is not None:
            self._count(other._exact)
        else:
            self._overflow()
            self._frequent.merge(other._frequent)

    @property
    def distinct(self) -> int:
        return len(self._exact) if self._exact is not None else round(self._distinct.get_estimate())

    def counts(self, most: int = EXACT) -> dict[str, int]:
        """The `most` frequent values, the first first, and how often each came, at least."""
        if self._exact is not None:
            found = list(self._exact.items())
        else:
            every = self._frequent.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
            found = [(value, lower) for value, _, lower, _ in every if lower > 0]
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most])

    def summary(self) -> CategoriesSummary:
        return CategoriesSummary(
            rows=self.rows, empty=self.empty, distinct=self.distinct, common=self.counts(SHOWN)
        )

    def _count(self, counts: Mapping[str, int]) -> None:
        if self._exact is not None:
            for value, count in counts.items():
                self._exact[value] = self._exact.get(value, 0) + count
            if len(self._exact) > EXACT:
                self._overflow()
            return
        for value, count in counts.items():
            self._frequent.update(value, count)

    def _overflow(self) -> None:
        """Too many to keep each."""
        if self._exact is None:
            return
        exact, self._exact = self._exact, None
        self._count(exact)

    def dump(self) -> bytes:
        kept = _Kept(
            self.rows,
            self.empty,
            self._exact,
            b"" if self._exact is not None else self._frequent.serialize(),
            self._distinct.serialize(),
        )
        return msgspec.msgpack.encode(kept)

    @classmethod
    def load(cls, kept: bytes) -> Categories:
        found = msgspec.msgpack.decode(kept, type=_Kept)
        made = cls()
        made.rows, made.empty, made._exact = found.rows, found.empty, found.exact
        if found.exact is None:
            made._frequent = frequent_strings_sketch.deserialize(found.frequent)
        made._distinct = cpc_sketch.deserialize(found.distinct)
        return made
