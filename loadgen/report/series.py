"""Snapshots become the columns that charts draw: bounded in length however long the run was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadgen.metrics.histogram import Histogram
    from loadgen.metrics.snapshot import Snapshot

MAX_POINTS = 600
"""Points in a column: a longer run is summed into intervals of several seconds, which loses no sample."""

RATES = (("published", "published"), ("acknowledged", "acknowledged"), ("received", "delivered"))
"""Counters of a snapshot, with the name each has in a chart: what subscribers receive, second by second."""
ERRORS = (
    ("disconnects", "connections lost"),
    ("connect_failures", "connects failed"),
    ("publish_errors", "publishes refused"),
    ("late", "messages held back"),
)
"""Counters that tell of trouble, second by second, with the words each has in a chart."""
LATENCIES = ("publish_latency", "delivery_latency", "send_lag", "loop_lag")
STATISTICS: tuple[tuple[str, float], ...] = (("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("max", 100.0))
SPECTRUM = ("publish_latency", "publish_service_time", "delivery_latency", "connect_time")
"""Metrics whose whole distribution is drawn, in legend order."""

_NS = 1e9
_POINTS_A_DECADE = 12
_NODE = "connected_node|"


@dataclass(slots=True)
class Bin:
    """The sum of one or more consecutive seconds."""

    start: float
    """Seconds since the start of the run."""
    seconds: float = 0.0
    """Time it covers."""
    counters: dict[str, int] = field(default_factory=dict)
    """By counter, summed over groups."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """By metric, summed over groups."""
    connected: float | None = None
    """Clients connected at the end of it."""
    nodes: dict[str, float] = field(default_factory=dict)
    """Of those, by node."""


@dataclass(frozen=True, slots=True)
class RunSeries:
    """Everything the charts of one run draw."""

    time: list[float]
    """Seconds since the start of the run, one for each point."""
    columns: dict[str, list[float]]
    """By name (`publish_latency_p99` …): rates per second, latencies in seconds, NaN for none."""
    nodes: tuple[str, ...]
    """Nodes that clients were connected to; their columns are `node_0`, `node_1` …"""
    spectrum: dict[str, tuple[list[float], list[float]]]
    """By metric: `1 / (1 - quantile)` and the latency there in seconds, over the recorded stages."""
    stages: dict[str, Bin]
    """By stage: the sum of its seconds."""


def read_series(timeline: Iterable[Snapshot], stages: Sequence[Mapping[str, Any]]) -> RunSeries:
    """Read a run's timeline once and give all columns.

    Args:
        timeline: One snapshot for each second, merged over workers.
        stages: `stages` of result.json; a stage with `record: false` is left out of the spectrum.
    """
    seconds = list(timeline)
    skipped = {stage.get("name") for stage in stages if stage.get("record") is False}
    by_stage: dict[str, Bin] = {}
    recorded = Bin(0.0)
    for snapshot in seconds:
        _add(by_stage.setdefault(snapshot.stage, Bin(float(snapshot.interval))), snapshot)
        if snapshot.stage not in skipped:
            _add(recorded, snapshot)
    bins = _bins(seconds)
    nodes = tuple(sorted({node for one in bins for node in one.nodes}))
    return RunSeries(
        time=[one.start for one in bins],
        columns=_columns(bins, nodes),
        nodes=nodes,
        spectrum={name: spectrum(h) for name in SPECTRUM if (h := recorded.histograms.get(name)) and h.count},
        stages=by_stage,
    )


def spectrum(histogram: Histogram) -> tuple[list[float], list[float]]:
    """Give a distribution as `1 / (1 - quantile)` against latency in seconds.

    The last point is the largest sample, at one in `count`: further out nothing was measured.
    """
    decades = math.log10(max(histogram.count, 1))
    steps = math.ceil(decades * _POINTS_A_DECADE)
    xs = [10 ** (decades * step / steps) for step in range(steps)] + [float(max(histogram.count, 1))]
    return xs, [histogram.percentile(100.0 - 100.0 / x) / _NS for x in xs[:-1]] + [histogram.max / _NS]


def _bins(seconds: Sequence[Snapshot]) -> list[Bin]:
    """Sum seconds into at most `MAX_POINTS` bins of equal width."""
    if not seconds:
        return []
    first = min(snapshot.interval for snapshot in seconds)
    last = max(snapshot.interval for snapshot in seconds)
    width = math.ceil((last - first + 1) / MAX_POINTS)
    bins: dict[int, Bin] = {}
    for snapshot in seconds:
        place = (snapshot.interval - first) // width
        _add(bins.setdefault(place, Bin(float(first + place * width))), snapshot)
    return [bins[place] for place in sorted(bins)]


def _add(total: Bin, snapshot: Snapshot) -> None:
    """Add one second; counters and histograms add up, of gauges the later one stays."""
    total.seconds += max(snapshot.seconds, 0.0)
    for key, number in snapshot.counters.items():
        name = key.partition("|")[0]
        total.counters[name] = total.counters.get(name, 0) + number
    for key, histogram in snapshot.histograms.items():
        name = key.partition("|")[0]
        known = total.histograms.get(name)
        if known is None:
            total.histograms[name] = histogram.copy()
        else:
            known += histogram
    connected = [value for key, value in snapshot.gauges.items() if key.startswith("connected|")]
    if connected:
        total.connected = sum(connected)
    nodes = {key[len(_NODE) :]: value for key, value in snapshot.gauges.items() if key.startswith(_NODE)}
    if nodes:
        total.nodes = nodes


def _columns(bins: Sequence[Bin], nodes: Sequence[str]) -> dict[str, list[float]]:
    nan = math.nan
    percents = [percent for _, percent in STATISTICS]
    empty = [nan] * len(percents)
    columns = {
        column: [one.counters.get(counter, 0) / (one.seconds or 1.0) for one in bins]
        for counter, column in (*RATES, *((name, name) for name, _ in ERRORS))
    }
    columns["connected"] = [nan if one.connected is None else one.connected for one in bins]
    for index, node in enumerate(nodes):
        columns[f"node_{index}"] = [one.nodes.get(node, 0.0) if one.nodes else nan for one in bins]
    for metric in LATENCIES:
        found = [one.histograms.get(metric) for one in bins]
        rows = [h.percentiles(percents) if h else empty for h in found]
        for place, (statistic, _) in enumerate(STATISTICS):
            columns[f"{metric}_{statistic}"] = [row[place] / _NS for row in rows]
    return columns
