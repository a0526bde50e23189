"""Keeps what the verdict on drift takes, while the run goes on: a few numbers for each second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.metrics.drift import DRIFT_UNITS, Series, judge_drift
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.trend import FEWEST_POINTS, MOST_POINTS
from loadgen.metrics.verdict import Verdict
from loadgen.report.drift import drift_lines
from loadgen.scenario.drift import ignored, judged_stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.metrics.broker_sample import BrokerSample
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.scenario.model import Scenario

_LATENCIES = ("publish_latency", "delivery_latency")
_GAUGES = {"generator_memory": "rss", "connected_clients": "connected"}
_FEWEST_MESSAGES = 200
"""In each part of the time of which a p99 is taken: two messages above it."""
_TOLD_FROM_S = 600.0
"""Slopes without a limit are told of runs this long; those of a minute mean nothing."""


class DriftWatch:
    """Collects the series of the judged stage, without those seconds in which a fault's window is open."""

    def __init__(self, scenario: Scenario) -> None:
        """Nothing is collected before the judged stage."""
        self._limits = scenario.drift.limits.set
        self._drift = scenario.drift
        self._stage = judged_stage(scenario.drift, scenario.stages)
        self._origin = 0
        self._from = self._until = 0
        self._parts = {name: _Parts() for name in _LATENCIES}
        self._points: dict[str, tuple[list[float], list[float]]] = {}

    # -- told by the coordinator -----------------------------------------------------------------

    def begin(self, origin: int) -> None:
        """The run starts at `origin` (monotonic ns)."""
        self._origin = origin

    def enter(self, stage: str, at: int) -> None:
        """A stage starts at `at` (monotonic ns)."""
        if self._stage is not None and stage == self._stage.name:
            self._from, self._until = at + ignored(self._drift, self._stage), at + (self._stage.hold or 0)

    def leave(self, stage: str, ended: int) -> None:
        """It has ended, perhaps earlier than planned."""
        if self._stage is not None and stage == self._stage.name:
            self._until = min(self._until, ended)

    def second(self, interval: Snapshot, *, disturbed: bool) -> None:
        """A second is over on all workers; `interval` is their sum."""
        if disturbed or interval.start_ns < self._from or interval.end_ns > self._until:
            return
        at = (interval.start_ns + interval.end_ns) / 2
        for name, parts in self._parts.items():
            parts.add(self._seconds(at), interval.select(name))
        for metric, gauge in _GAUGES.items():
            self._point(metric, at, interval.gauge(gauge))

    def brokers(self, sample: BrokerSample, *, disturbed: bool) -> None:
        """The brokers were asked."""
        if disturbed or not self._from <= sample.ns < self._until:
            return
        self._point("broker_memory", sample.ns, sample.memory)
        self._point("queue_depth", sample.ns, sample.queue_depth)

    def _point(self, metric: str, at: float, value: float | None) -> None:
        if value is None:
            return
        times, values = self._points.setdefault(metric, ([], []))
        times.append(self._seconds(at))
        values.append(value)

    def _seconds(self, at: float) -> float:
        return (at - self._origin) / 1e9

    # -- asked when it is over -------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Give `drift` of `result.json`: a row for each limit; of a long run also for what has none."""
        rows = [judge_drift(self._series(metric), self._limits.get(metric)) for metric in DRIFT_UNITS]
        told = [row for row in rows if row.limit is not None or (row.seconds or 0) >= _TOLD_FROM_S]
        stage = self._stage.name if self._stage is not None else None
        return [{"stage": stage} | row.to_dict() for row in told]

    def _series(self, metric: str) -> Series:
        name, is_latency, _ = metric.partition("_p99")
        if is_latency:
            return self._parts[name].series(metric)
        times, values = self._points.get(metric, ([], []))
        return Series(metric, times, values)


def drift_says(rows: Iterable[dict[str, Any]], *, complete: bool) -> list[tuple[Verdict, str]]:
    """Give what the rows add to a run's verdict, each with its rate.

    Args:
        rows: `DriftWatch.rows`.
        complete: False when the run was ended early; that there is no verdict is no news then.
    """
    lines = drift_lines({"drift": list(rows)})
    judged = [(Verdict(line.verdict), line.sentence) for line in lines if line.verdict]
    return [
        (verdict, sentence)
        for verdict, sentence in judged
        if verdict is Verdict.FAIL or (verdict is Verdict.INVALID and complete)
    ]


class _Parts:
    """Histograms of consecutive parts of the time; their number stays bounded, they grow longer instead."""

    _MOST = 2 * MOST_POINTS

    def __init__(self) -> None:
        self._size = 1
        """Intervals in each part."""
        self._parts: list[tuple[list[float], Histogram]] = []

    def add(self, at: float, histogram: Histogram) -> None:
        if not self._parts or len(self._parts[-1][0]) >= self._size:
            if len(self._parts) == self._MOST:
                self._parts = [_joined(self._parts[k : k + 2]) for k in range(0, self._MOST, 2)]
                self._size *= 2
            self._parts.append(([], Histogram()))
        times, total = self._parts[-1]
        times.append(at)
        total += histogram

    def series(self, metric: str) -> Series:
        """The p99 of each part, s; of as many parts as there are messages for."""
        parts = self._parts
        messages = sum(total.count for _, total in parts)
        wanted = min(MOST_POINTS, len(parts), messages // _FEWEST_MESSAGES)
        if wanted < FEWEST_POINTS:
            few = f"{messages:,} messages in {sum(len(times) for times, _ in parts)} seconds are too few"
            return Series(metric, [], [], few)
        size = -(-len(parts) // wanted)
        joined = [_joined(parts[start : start + size]) for start in range(0, len(parts), size)]
        kept = [(sum(times) / len(times), total) for times, total in joined if total.count]
        return Series(metric, [at for at, _ in kept], [total.percentile(99) / 1e9 for _, total in kept])


def _joined(parts: list[tuple[list[float], Histogram]]) -> tuple[list[float], Histogram]:
    total = Histogram()
    times: list[float] = []
    for of_part, histogram in parts:
        times += of_part
        total += histogram
    return times, total
