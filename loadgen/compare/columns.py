"""What one run measured, unit by unit, as arrays that a bootstrap can weigh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from loadgen.metrics.histogram import Histogram, highest_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from loadgen.compare.units import Grid, Placing
    from loadgen.metrics.snapshot import Snapshot

    Floats = NDArray[np.float64]

T = TypeVar("T")

NS = 1e-9
_CPU = "cpu_seconds"
CPU = "cpu"
"""Counter of the generator's CPU time in each unit, seconds."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """The samples of a metric, by unit."""

    counts: Floats
    """Units x buckets."""
    values: Floats
    """The highest value of each bucket, seconds; never above the largest sample."""
    whole: Histogram
    """All samples."""

    def quantiles(self, weights: Floats, percents: Sequence[float]) -> Floats:
        """Percentiles of the merged histogram with each unit counted `weights` times.

        Args:
            weights: resamples x units.
            percents: 0 to 100.

        Returns:
            Resamples x percents, seconds; NaN where a resample has no sample.
        """
        summed = np.cumsum(weights @ self.counts, axis=1)
        totals = summed[:, -1]
        found = np.full((len(weights), len(percents)), np.nan)
        some = totals > 0
        for place, percent in enumerate(percents):
            rank = np.maximum(1.0, np.floor(percent * totals / 100 + 0.5))
            index = np.argmax(summed >= rank[:, None], axis=1)
            found[some, place] = self.values[index[some]]
        return found

    def above(self, value: float) -> Floats:
        """How many samples of each unit are above a value (seconds)."""
        above: Floats = self.counts[:, self.values > value].sum(axis=1)
        return above

    @property
    def sizes(self) -> Floats:
        """How many samples each unit has."""
        sizes: Floats = self.counts.sum(axis=1)
        return sizes


@dataclass(slots=True)
class Columns:
    """One run in units."""

    distributions: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    """(metric, group) → its samples; the group is empty for all groups together."""
    counters: dict[tuple[str, str], Floats] = field(default_factory=dict)
    """(counter, group) → its count in each unit."""
    seconds: Floats = field(default_factory=lambda: np.zeros(0))
    """How long each unit lasts."""
    hold: Floats = field(default_factory=lambda: np.zeros(0))
    """1 for units of hold stages, where a rate is due; else 0."""


def read_columns(
    timeline: Iterable[Snapshot],
    grid: Grid,
    placing: Placing,
    metrics: Sequence[str],
    counters: Sequence[str],
) -> Columns:
    """Read one run.

    Args:
        timeline: its intervals, merged over workers, in the order of time.
        grid: the units.
        placing: how its intervals fall into them.
        metrics: the histograms that are wanted.
        counters: the counters that are wanted; the generator's CPU time (`CPU`) is added.
    """
    tables: dict[tuple[str, str], dict[int, Histogram]] = {}
    counts: dict[tuple[str, str], Floats] = {(name, ""): np.zeros(grid.size) for name in (*counters, CPU)}
    for snapshot, spent in _with_cpu(timeline):
        unit = placing.unit(snapshot.stage, snapshot.interval)
        if unit is None:
            continue
        counts[CPU, ""][unit] += spent
        for key, histogram in _keyed(snapshot.histograms, metrics):
            units = tables.setdefault(key, {})
            if unit in units:
                units[unit] += histogram
            else:
                units[unit] = histogram.copy()
        for key, count in _keyed(snapshot.counters, counters):
            counts.setdefault(key, np.zeros(grid.size))[unit] += count
    lasting = placing.seconds()
    columns = Columns(counters=counts, seconds=np.zeros(grid.size), hold=np.zeros(grid.size))
    for stratum in grid.strata:
        place = slice(stratum.first, stratum.first + stratum.units)
        columns.seconds[place] = lasting.get(stratum.stage, grid.seconds)
        columns.hold[place] = float(stratum.kind == "hold")
    columns.distributions = {
        key: _distribution(units, grid.size)
        for key, units in tables.items()
        if any(each.count for each in units.values())
    }
    return columns


def _with_cpu(timeline: Iterable[Snapshot]) -> Iterator[tuple[Snapshot, float]]:
    """Each interval, and the CPU seconds that the workers spent in it."""
    before: float | None = None
    for snapshot in timeline:
        now = snapshot.gauges.get(_CPU)
        yield snapshot, max(now - before, 0.0) if now is not None and before is not None else 0.0
        before = now if now is not None else before


def _keyed(table: Mapping[str, T], wanted: Collection[str]) -> Iterator[tuple[tuple[str, str], T]]:
    """What is wanted of `metric|group`, once for the group and once for all of them."""
    for text, value in table.items():
        name, _, group = text.partition("|")
        if name in wanted:
            for key in {(name, ""), (name, group)}:
                yield key, value


def _distribution(units: Mapping[int, Histogram], size: int) -> Distribution:
    whole = Histogram()
    for histogram in units.values():
        whole += histogram
    buckets = sorted(whole.counts)
    place = {bucket: column for column, bucket in enumerate(buckets)}
    counts = np.zeros((size, max(len(buckets), 1)))
    for unit, histogram in units.items():
        for bucket, count in histogram.counts.items():
            counts[unit, place[bucket]] = count
    values = [min(highest_at(bucket), whole.max) * NS for bucket in buckets] or [0.0]
    return Distribution(counts, np.array(values), whole)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """The samples of several runs together."""
    total = Histogram()
    for histogram in histograms:
        total += histogram
    return total
