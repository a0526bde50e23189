"""A sum of many packed histograms, kept as one dense array."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from loadgen.metrics.histogram import HIGHEST_NS, Histogram, index_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.metrics.packed import PackedHistogram

_LENGTH = index_of(HIGHEST_NS) + 1


class DenseSum:
    """Adds histograms in place; 190 KB, so one for each metric and group, not for each second."""

    __slots__ = ("_counts", "count", "max", "min", "out_of_range", "total")

    def __init__(self) -> None:
        """Start empty."""
        self._counts = np.zeros(_LENGTH, dtype=np.uint64)
        self._forget()

    def _forget(self) -> None:
        self.count = self.total = self.min = self.max = self.out_of_range = 0

    def add(self, packed: PackedHistogram) -> None:
        """Add one histogram."""
        if packed.samples:
            # Each index stands once in a histogram, so a plain indexed addition is right.
            indices = np.frombuffer(packed.indices, dtype=np.uint16)
            self._counts[indices] += np.frombuffer(packed.counts, dtype=np.uint64)
            self._figures(packed.samples, packed.total, packed.min, packed.max)
        self.out_of_range += packed.out_of_range

    def merge(self, other: DenseSum) -> None:
        """Add another sum."""
        if other.count:
            self._counts += other._counts
            self._figures(other.count, other.total, other.min, other.max)
        self.out_of_range += other.out_of_range

    def _figures(self, count: int, total: int, low: int, high: int) -> None:
        self.min = low if not self.count else min(self.min, low)
        self.max = max(self.max, high)
        self.count += count
        self.total += total

    def clear(self) -> None:
        """Be empty again; cheaper than a new one."""
        self._counts.fill(0)
        self._forget()

    def cumulative(self, bounds: Sequence[int]) -> tuple[int, ...]:
        """Give how many samples each of `bounds` (ascending, ns, up to 1 h) is not exceeded by.

        To the histogram's own precision: a bound is where its bucket ends, at most 0.1 % above it.
        """
        starts = [0, *(index_of(bound) + 1 for bound in bounds[:-1])]
        parts = np.add.reduceat(self._counts[: index_of(bounds[-1]) + 1], starts)
        return tuple(np.cumsum(parts).tolist())

    def histogram(self) -> Histogram:
        """Give the sum as a histogram."""
        made = Histogram()
        used = np.flatnonzero(self._counts)
        made.counts = Counter(dict(zip(used.tolist(), self._counts[used].tolist(), strict=True)))
        made.count, made.total, made.min, made.max = self.count, self.total, self.min, self.max
        made.out_of_range = self.out_of_range
        return made
