"""Numbers: their moments, exactly, and their quantiles from a KLL sketch.

Moments are merged pairwise (Pébay 2008, "Formulas for robust, one-pass parallel computation of
covariances and arbitrary-order statistical moments"), so any order of merging gives the same up to
rounding. Quantiles are within 1.3 % of rank (KLL with k = 200; Karnin, Lang, Liberty 2016).
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np
from datasketches import kll_doubles_sketch

from shared.profile import Bin, NumbersSummary, tidy

K: Final = 200
SHOWN: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS: Final = 20


class _Kept(msgspec.Struct, frozen=True):
    rows: int
    empty: int
    mean: float
    powers: tuple[float, float, float]
    least: float
    most: float
    sketch: bytes


class Numbers:
    """`empty` counts what is no finite number; it is in nothing else."""

    def __init__(self) -> None:
        self.rows = 0
        self.empty = 0
        self.mean = 0.0
        self.powers = (0.0, 0.0, 0.0)  # sums of the differences to the mean, to 2, 3 and 4
        self.least, self.most = math.inf, -math.inf
        self.quantiles = kll_doubles_sketch(K)

    def add(self, values: np.ndarray[Any, Any]) -> None:
        """An array of any real or complex numbers, of any shape; of complex ones the size."""
        flat = np.abs(values) if np.iscomplexobj(values) else values
        numbers = np.asarray(flat, dtype=np.float64).ravel()
        finite = numbers[np.isfinite(numbers)]
        # beyond this, their fourth power is no number any more
        finite = finite[np.abs(finite) < 1e75]
        self.empty += numbers.size - finite.size
        if not finite.size:
            return
        other = Numbers()
        other.rows = int(finite.size)
        other.mean = float(finite.mean())
        apart = finite - other.mean
        square = apart * apart
        other.powers = (
            float(square.sum()),
            float((square * apart).sum()),
            float((square * square).sum()),
        )
        other.least, other.most = float(finite.min()), float(finite.max())
        other.quantiles.update(finite)
        self.merge(other)

    def merge(self, other: Numbers) -> None:
        self.empty += other.empty
        if not other.rows:
            return
        a, b = float(self.rows), float(other.rows)
        n, d = a + b, other.mean - self.mean
        (a2, a3, a4), (b2, b3, b4) = self.powers, other.powers
        self.powers = (
            a2 + b2 + d**2 * a * b / n,
            a3 + b3 + d**3 * a * b * (a - b) / n**2 + 3 * d * (a * b2 - b * a2) / n,
            a4
            + b4
            + d**4 * a * b * (a * a - a * b + b * b) / n**3
            + 6 * d**2 * (a * a * b2 + b * b * a2) / n**2
            + 4 * d * (a * b3 - b * a3) / n,
        )
        self.mean += d * b / n
        self.rows += other.rows
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        self.quantiles.merge(other.quantiles)

    def shares(self, edges: list[float]) -> np.ndarray[Any, Any]:
        """Which part is up to each of `edges`, from that to the next, and above the last."""
        if not self.rows:
            return np.zeros(len(edges) + 1)
        return np.diff([0.0, *self.quantiles.get_cdf(edges, inclusive=True)])

    def summary(self) -> NumbersSummary:
        if not self.rows:
            return NumbersSummary(rows=0, empty=self.empty)
        second, third, fourth = self.powers
        variance = second / self.rows
        flat = variance <= 1e-150  # its square is no number any more
        ranks = self.quantiles.get_quantiles(list(SHOWN))
        return NumbersSummary(
            rows=self.rows,
            empty=self.empty,
            mean=tidy(self.mean),
            deviation=tidy(math.sqrt(variance)),
            skewness=None if flat else tidy(third / self.rows / variance**1.5),
            kurtosis=None if flat else tidy(fourth / self.rows / variance**2 - 3),
            least=tidy(self.least),
            most=tidy(self.most),
            quantiles={f"{rank:g}": tidy(at) for rank, at in zip(SHOWN, ranks, strict=True)},
            histogram=self._histogram(),
        )

    def _histogram(self) -> tuple[Bin, ...]:
        if self.least == self.most:
            return (Bin(low=tidy(self.least), high=tidy(self.most), share=1.0),)
        edges = [float(edge) for edge in np.linspace(self.least, self.most, BINS + 1)]
        inner = sorted(set(edges[1:-1]))
        shares = self.shares(inner)
        ends = [edges[0], *inner, edges[-1]]
        return tuple(
            Bin(low=tidy(low), high=tidy(high), share=tidy(float(share)))
            for low, high, share in zip(ends, ends[1:], shares, strict=False)
        )

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                self.rows,
                self.empty,
                self.mean,
                self.powers,
                self.least,
                self.most,
                self.quantiles.serialize(),
            )
        )

    @classmethod
    def load(cls, kept: bytes) -> Numbers:
        found = msgspec.msgpack.decode(kept, type=_Kept)
        made = cls()
        made.rows, made.empty, made.mean = found.rows, found.empty, found.mean
        made.powers, made.least, made.most = found.powers, found.least, found.most
        made.quantiles = kll_doubles_sketch.deserialize(found.sketch)
        return made
