"""What was recorded of one metric, in seconds: for notebooks, charts and exports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.metrics.summary import NS, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.metrics.histogram import Histogram

POINTS_A_DECADE = 12
"""Points of a spectrum between one quantile and the one that is ten times rarer."""


@dataclass(frozen=True, slots=True, repr=False)
class Distribution:
    """A distribution of durations in seconds; every figure is nan when nothing was recorded.

    Percentiles are those of HdrHistogram (three significant digits) and the same as in `result.json`.
    `a + b` is the distribution of the samples of both.
    """

    histogram: Histogram
    """The same in integer nanoseconds, bucket by bucket; not to be changed."""

    @property
    def count(self) -> int:
        """Samples from 0 to one hour."""
        return self.histogram.count

    @property
    def out_of_range(self) -> int:
        """Samples above one hour (or below 0); they are in no other figure."""
        return self.histogram.out_of_range

    @property
    def min(self) -> float:
        """The smallest sample, exactly."""
        return self._or_nan(self.histogram.min)

    @property
    def max(self) -> float:
        """The largest sample, exactly."""
        return self._or_nan(self.histogram.max)

    @property
    def mean(self) -> float:
        """The mean, exactly."""
        return self._or_nan(self.histogram.mean)

    def percentile(self, percent: float) -> float:
        """Give the value that `percent` (0 to 100) of the samples do not exceed."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Give several percentiles in one walk, in the order asked for."""
        return [self._or_nan(value) for value in self.histogram.percentiles(percents)]

    def spectrum(self) -> list[tuple[float, float]]:
        """Give the whole distribution as (percentile, seconds), ever finer towards 100.

        There are 12 points from one quantile to the one ten times rarer; the last is (100, max). Empty when
        nothing was recorded.
        """
        if not self.count:
            return []
        steps = math.ceil(math.log10(self.count) * POINTS_A_DECADE)
        percents = [100.0 - 100.0 * 10 ** (-step / POINTS_A_DECADE) for step in range(steps)] + [100.0]
        return list(zip(percents, self.percentiles(percents), strict=True))

    def summary(self) -> dict[str, int | float | None]:
        """Give the object that `result.json` has for a metric: None, not nan, for what was not measured."""
        return summarise(self.histogram)

    def __add__(self, other: Distribution) -> Distribution:
        """Add all samples of another distribution."""
        return Distribution(self.histogram + other.histogram)

    def __bool__(self) -> bool:
        """Whether anything was recorded."""
        return bool(self.histogram)

    def __repr__(self) -> str:
        """Show size and percentiles."""
        if not self.count:
            return "Distribution(no samples)"
        p50, p99 = self.percentiles((50.0, 99.0))
        return f"Distribution({self.count} samples, p50 {p50:.6f} s, p99 {p99:.6f} s, max {self.max:.6f} s)"

    def _or_nan(self, nanoseconds: float) -> float:
        return nanoseconds * NS if self.count else math.nan
