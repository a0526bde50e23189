"""Adds up what workers report while a run goes on: totals, stages, peaks, and the last second to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.metrics.dense import DenseSum
from loadgen.metrics.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection

    from loadgen.metrics.packed import PackedSnapshot

SHOWN = frozenset({"publish_latency", "delivery_latency", "send_lag", "loop_lag"})
"""The metrics whose histograms `Tally.next_interval` gives for each second."""


@dataclass(slots=True)
class Sums:
    """Running sums of histograms and counters, added to in place."""

    histograms: dict[str, DenseSum] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def add(self, packed: PackedSnapshot) -> None:
        """Add one interval of one worker."""
        for key, histogram in packed.histograms.items():
            mine = self.histograms.get(key)
            if mine is None:
                mine = self.histograms[key] = DenseSum()
            mine.add(histogram)
        self.count(packed.counters)

    def merge(self, other: Sums) -> None:
        """Add other sums."""
        for key, histogram in other.histograms.items():
            if histogram.count or histogram.out_of_range:
                self.histograms.setdefault(key, DenseSum()).merge(histogram)
        self.count(other.counters)

    def count(self, counters: dict[str, int]) -> None:
        """Add counters."""
        mine = self.counters
        for key, count in counters.items():
            mine[key] = mine.get(key, 0) + count

    def clear(self) -> None:
        """Be empty again, keeping the arrays for the next second."""
        for histogram in self.histograms.values():
            histogram.clear()
        self.counters = {}

    def snapshot(self, stage: str = "", metrics: Collection[str] | None = None) -> Snapshot:
        """The sums as a snapshot, to select from; `metrics` limits which histograms it has."""
        histograms = {
            key: histogram.histogram()
            for key, histogram in self.histograms.items()
            if (histogram.count or histogram.out_of_range)
            and (metrics is None or key.partition("|")[0] in metrics)
        }
        return Snapshot(interval=0, stage=stage, histograms=histograms, counters=dict(self.counters))


class Tally:
    """See the module's docstring."""

    def __init__(self, workers: int) -> None:
        """Start with nothing reported."""
        self.stages: dict[str, Sums] = {}
        """Stage name → the sum of its intervals."""
        self.counters: dict[str, int] = {}
        """Counters of the whole run so far, as in snapshots."""
        self._seconds: dict[int, Sums] = {}
        """Interval → the sum over the workers so far."""
        self._spans: dict[int, tuple[int, int]] = {}
        """Interval → its start and end, monotonic ns."""
        self._spare: list[Sums] = []
        self._newest: dict[int, int] = {}
        """Worker → the newest interval it reported."""
        self._gauges: dict[int, dict[str, float]] = {}
        self._gauges_at: dict[int, int] = {}
        self.workers = set(range(workers))
        """Workers that still report."""
        self.rss_peak = 0.0
        """Highest sum of the workers' resident memory, bytes."""
        self.connected_peak = 0.0

    def add(self, packed: PackedSnapshot) -> None:
        """Take one worker's interval."""
        self.stages.setdefault(packed.stage, Sums()).add(packed)
        for key, count in packed.counters.items():
            self.counters[key] = self.counters.get(key, 0) + count
        self._add_to_second(packed)
        self._newest[packed.worker] = max(self._newest.get(packed.worker, -1), packed.interval)
        if packed.gauges:
            self._gauges[packed.worker] = packed.gauges
            self._gauges_at[packed.worker] = packed.end_ns
            self.rss_peak = max(self.rss_peak, self.gauge("rss"))
            self.connected_peak = max(self.connected_peak, self.gauge("connected"))

    def _add_to_second(self, packed: PackedSnapshot) -> None:
        interval = packed.interval
        second = self._seconds.get(interval)
        if second is None:
            second = self._seconds[interval] = self._spare.pop() if self._spare else Sums()
        for key, histogram in packed.histograms.items():
            if key.partition("|")[0] in SHOWN:
                second.histograms.setdefault(key, DenseSum()).add(histogram)
        second.count(packed.counters)
        start, end = self._spans.get(interval, (packed.start_ns, packed.end_ns))
        self._spans[interval] = (min(start, packed.start_ns), max(end, packed.end_ns))

    def next_interval(self) -> Snapshot | None:
        """The oldest interval that all living workers have left behind, added up; None when there is none.

        It has all counters, the histograms of `SHOWN`, and the latest gauges.
        """
        if not self._seconds:
            return None
        interval = min(self._seconds)
        if any(self._newest.get(worker, -1) <= interval for worker in self.workers):
            return None
        second = self._seconds.pop(interval)
        snapshot = second.snapshot()
        second.clear()
        self._spare.append(second)
        snapshot.interval = interval
        snapshot.start_ns, snapshot.end_ns = self._spans.pop(interval)
        for of_worker in self._gauges.values():
            for key, value in of_worker.items():
                snapshot.gauges[key] = snapshot.gauges.get(key, 0.0) + value
        return snapshot

    def total(self) -> Snapshot:
        """The sum of all stages."""
        total = Sums()
        for sums in self.stages.values():
            total.merge(sums)
        return total.snapshot()

    def count(self, counter: str) -> int:
        """A counter of the whole run so far, over all groups."""
        return sum(count for key, count in self.counters.items() if key.partition("|")[0] == counter)

    def gauges_by_worker(self) -> dict[int, tuple[int, dict[str, float]]]:
        """Worker → when it said so (monotonic ns), and its latest gauges, keyed as in snapshots."""
        return {worker: (self._gauges_at[worker], gauges) for worker, gauges in self._gauges.items()}

    def gauge(self, name: str) -> float:
        """The latest value of a gauge, summed over workers and groups."""
        return sum(
            value
            for gauges in self._gauges.values()
            for key, value in gauges.items()
            if key.partition("|")[0] == name
        )
