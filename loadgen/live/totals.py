"""The sums of a run so far as one immutable value, that another thread may read at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of the exported histograms' buckets, seconds."""

_BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS)

MOST_GROUPS = 50
"""Groups that are told apart in exported metrics; those beyond are summed up as `OTHERS`."""
OTHERS = "other groups"


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram for export."""

    cumulative: tuple[int, ...]
    """Samples up to each of `BOUNDS`."""
    count: int
    """All samples in range, those above the last bound too."""
    sum: float
    """Seconds."""
    out_of_range: int
    """Samples that were negative or above one hour."""
    min: float
    """Smallest and largest sample in range, seconds; 0 when there is none."""
    max: float

    def __add__(self, other: Buckets) -> Buckets:
        """Add the samples of another one."""
        return Buckets(
            tuple(map(sum, zip(self.cumulative, other.cumulative, strict=True))),
            self.count + other.count,
            self.sum + other.sum,
            self.out_of_range + other.out_of_range,
            min(each.min for each in (self, other) if each.count) if self.count or other.count else 0.0,
            max(self.max, other.max),
        )


class Sum(Protocol):
    """A growing histogram, as `metrics.dense.DenseSum` is."""

    count: int
    total: int
    out_of_range: int
    min: int
    max: int

    def cumulative(self, bounds: Sequence[int]) -> tuple[int, ...]:
        """How many samples do not exceed each bound (ns)."""


class StageSums(Protocol):
    """The sums of a stage, as `loadgen.metrics.tally.Sums` is."""

    @property
    def histograms(self) -> Mapping[str, Sum]:
        """By `metric|group`."""

    @property
    def counters(self) -> Mapping[str, int]:
        """By `counter|group` or `family:code|group`."""


Place = tuple[str, str, str]
"""Metric, group and stage."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything a run counted from its start to now."""

    histograms: Mapping[Place, Buckets] = field(default_factory=dict)
    counters: Mapping[Place, int] = field(default_factory=dict)
    """The metric of a counter by code is `family:code`."""


class TotalsReader:
    """Makes `Totals` of the stages' sums; what did not change since the last time costs nothing."""

    def __init__(self, groups: Collection[str]) -> None:
        """Tell these groups apart; what any other did is summed up as `OTHERS`."""
        self._known: dict[Place, tuple[tuple[int, int], Buckets]] = {}
        self._groups = {"", *groups}

    def read(self, stages: Mapping[str, StageSums]) -> Totals:
        """Read the sums; called where nobody changes them meanwhile."""
        histograms: dict[Place, Buckets] = {}
        counters: dict[Place, int] = {}
        for stage, sums in stages.items():
            for key, histogram in sums.histograms.items():
                # What was measured at one node (`metric@node`) is in the group's histogram, too.
                if "@" in key or (not histogram.count and not histogram.out_of_range):
                    continue
                metric, _, group = key.partition("|")
                buckets = self._buckets((metric, group, stage), histogram)
                place = metric, self._shown(group), stage
                known = histograms.get(place)
                histograms[place] = buckets if known is None else known + buckets
            for key, count in sums.counters.items():
                metric, _, group = key.rpartition("|")
                place = metric, self._shown(group), stage
                counters[place] = counters.get(place, 0) + count
        return Totals(histograms, counters)

    def _buckets(self, place: Place, histogram: Sum) -> Buckets:
        mark = histogram.count, histogram.out_of_range
        known = self._known.get(place)
        if known is not None and known[0] == mark:
            return known[1]
        made = Buckets(
            histogram.cumulative(_BOUNDS_NS),
            histogram.count,
            histogram.total / 1e9,
            histogram.out_of_range,
            histogram.min / 1e9,
            histogram.max / 1e9,
        )
        self._known[place] = mark, made
        return made

    def _shown(self, group: str) -> str:
        return group if group in self._groups else OTHERS
