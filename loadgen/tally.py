"""Adds up what workers report while a run goes on: totals, stages, peaks, and the last second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.metrics.snapshot import Snapshot, merge_time, merge_workers

if TYPE_CHECKING:
    from loadgen.metrics.histogram import Histogram


@dataclass(slots=True)
class Sums:
    """Running sums of histograms and counters, added to in place."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Add one interval."""
        for key, histogram in snapshot.histograms.items():
            mine = self.histograms.get(key)
            if mine is None:
                self.histograms[key] = histogram.copy()
            else:
                mine += histogram
        counters = self.counters
        for key, count in snapshot.counters.items():
            counters[key] = counters.get(key, 0) + count

    def snapshot(self, stage: str = "") -> Snapshot:
        """The sums as a snapshot, to select from."""
        return Snapshot(interval=0, stage=stage, histograms=self.histograms, counters=self.counters)


class Tally:
    """See the module's docstring."""

    def __init__(self, workers: int) -> None:
        """Start with nothing reported."""
        self.total = Sums()
        self.stages: dict[str, Sums] = {}
        self._parts: dict[int, dict[int, list[Snapshot]]] = {}
        self._gauges: dict[int, dict[str, float]] = {}
        self.workers = set(range(workers))
        """Workers that still report."""
        self.rss_peak = 0.0
        """Highest sum of the workers' resident memory, bytes."""
        self.connected_peak = 0.0

    def add(self, snapshot: Snapshot) -> None:
        """Take one worker's interval."""
        self.total.add(snapshot)
        self.stages.setdefault(snapshot.stage, Sums()).add(snapshot)
        self._parts.setdefault(snapshot.interval, {}).setdefault(snapshot.worker, []).append(snapshot)
        self._gauges[snapshot.worker] = snapshot.gauges
        self.rss_peak = max(self.rss_peak, self.gauge("rss"))
        self.connected_peak = max(self.connected_peak, self.gauge("connected"))

    def gauge(self, name: str) -> float:
        """The latest value of a gauge, summed over workers and groups."""
        return sum(
            value
            for gauges in self._gauges.values()
            for key, value in gauges.items()
            if key.partition("|")[0] == name
        )

    def next_interval(self) -> Snapshot | None:
        """The oldest interval that all living workers have left behind, added up; None when there is none."""
        for interval in sorted(self._parts):
            newer = {worker for later, parts in self._parts.items() if later > interval for worker in parts}
            if not self.workers <= newer:
                return None
            parts = self._parts.pop(interval)
            # A stage that began within the second cut a worker's interval in two: gauges count once.
            return merge_workers(merge_time(snapshots) for snapshots in parts.values())
        return None
