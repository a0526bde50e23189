"""Adds up the intervals of a run in one pass, so that an hour's run needs no more memory than a minute's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.metrics.dense import DenseSum
from loadgen.metrics.packed import pack
from loadgen.metrics.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

Span = tuple[float, float]
"""Start and end, seconds since the start of the run."""


def sums_by_stage(snapshots: Iterable[Snapshot]) -> dict[str, Snapshot]:
    """Give the sum of each stage's intervals: histograms and counters, no gauges and no curves."""
    sums: dict[str, Snapshot] = {}
    histograms: dict[tuple[str, str], DenseSum] = {}
    for snapshot in snapshots:
        total = sums.get(snapshot.stage)
        if total is None:
            total = sums[snapshot.stage] = Snapshot(start_ns=snapshot.start_ns, stage=snapshot.stage)
        total.interval = max(total.interval, snapshot.interval)
        total.start_ns = min(total.start_ns, snapshot.start_ns)
        total.end_ns = max(total.end_ns, snapshot.end_ns)
        for key, histogram in snapshot.histograms.items():
            place = snapshot.stage, key
            if place not in histograms:
                histograms[place] = DenseSum()
            histograms[place].add(pack(histogram))
        for key, count in snapshot.counters.items():
            total.counters[key] = total.counters.get(key, 0) + count
    for (stage, key), dense in histograms.items():
        sums[stage].histograms[key] = dense.histogram()
    return sums


def overlaps(spans: Iterable[Span], between: Span | None) -> list[Span]:
    """Give what of the spans lies in another one; all of them without one."""
    if between is None:
        return list(spans)
    low, high = between
    return [(max(start, low), min(end, high)) for start, end in spans if start < high and end > low]
