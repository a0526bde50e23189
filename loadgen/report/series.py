"""Snapshots become the columns that charts draw: bounded in length however long the run was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.report.intended import holds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
SPECTRUM = ("publish_latency", "publish_service_time", "delivery_latency")
"""Metrics whose whole distribution is drawn, in legend order."""
PHASES = ("tcp_connect", "tls_handshake", "mqtt_connect", "subscribe_time", "connect_time")
"""The phases of a connection in their order, and the whole of it."""

_NS = 1e9
_POINTS_A_DECADE = 12
_NODE = "connected_node|"
_SHORT = 0.5
"""Seconds; the rate of less time than this says too little to be an extreme."""


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
    lows: dict[str, float] = field(default_factory=dict)
    """The lowest of its seconds, per second, by counter; of `connected` the fewest clients."""
    highs: dict[str, float] = field(default_factory=dict)
    """The highest of its seconds, as `lows`."""
    cpu: float | None = None
    """CPU seconds of all workers since their start, at the end of it."""
    memory: float | None = None
    """Resident memory of all workers, bytes: the most of its seconds."""
    backlog: float | None = None
    """Messages due and not yet sent, at the end of it."""


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
    width: int = 1
    """Seconds that a point sums up. Above 1, `…_low` and `…_high` hold the extremes of its seconds."""
    phases: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    """As `spectrum`, for the phases of connections in all stages."""


def read_series(
    timeline: Iterable[Snapshot],
    stages: Sequence[Mapping[str, Any]],
    plan: Mapping[str, Any] | None = None,
    *,
    span: range | None = None,
) -> RunSeries:
    """Read a run's timeline once and give all columns.

    Args:
        timeline: One snapshot for each second, merged over workers.
        stages: `stages` of result.json; a stage with `record: false` is left out of the spectrum.
        plan: plan.json, for the intended rate; without it there is no such column.
        span: The numbers of the run's seconds. With it the timeline is read one second at a time, so that
            hours need no more memory than minutes; without it, it is kept whole to look.
    """
    if span is None:
        timeline = list(timeline)
        known = [snapshot.interval for snapshot in timeline]
        span = range(min(known, default=0), max(known, default=-1) + 1)
    binning = _Bins(span)
    skipped = {stage.get("name") for stage in stages if stage.get("record") is False}
    by_stage: dict[str, Bin] = {}
    recorded, whole = Bin(0.0), Bin(0.0)
    for snapshot in timeline:
        binning.add(snapshot)
        _add(by_stage.setdefault(snapshot.stage, Bin(float(snapshot.interval))), snapshot)
        if snapshot.stage not in skipped:
            _add(recorded, snapshot)
    for name in PHASES:
        found = [h for each in by_stage.values() if (h := each.histograms.get(name))]
        if found:
            whole.histograms[name] = sum(found[1:], found[0])
    width, bins = binning.width, binning.done()
    nodes = tuple(sorted({node for one in bins for node in one.nodes}))
    columns = _columns(bins, nodes)
    if width > 1:
        columns |= _extremes(bins)
    if asked := holds(plan or {}, stages):
        columns["intended"] = [
            sum(hold.messages(one.start, one.start + width) for hold in asked) / width for one in bins
        ]
    return RunSeries(
        time=[one.start for one in bins],
        columns=columns,
        nodes=nodes,
        spectrum=_distributions(recorded, SPECTRUM),
        stages=by_stage,
        width=width,
        phases=_distributions(whole, PHASES),
    )


def _distributions(total: Bin, metrics: Iterable[str]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: spectrum(h) for name in metrics if (h := total.histograms.get(name)) and h.count}


def spectrum(histogram: Histogram) -> tuple[list[float], list[float]]:
    """Give a distribution as `1 / (1 - quantile)` against latency in seconds.

    The last point is the largest sample, at one in `count`: further out nothing was measured.
    """
    far = float(max(histogram.count, 1))
    steps = math.ceil(math.log10(far) * _POINTS_A_DECADE)
    # Whole decades and the median are among the points, to be read off exactly.
    inner = {2.0, *(10 ** (step / _POINTS_A_DECADE) for step in range(steps))}
    xs = [*sorted(x for x in inner if x < far * (1 - 1e-9)), far]
    values = histogram.percentiles([100.0 - 100.0 / x for x in xs[:-1]])
    return xs, [value / _NS for value in values] + [histogram.max / _NS]


class _Bins:
    """Sums seconds into at most `MAX_POINTS` bins of equal width; of histograms only those that are drawn."""

    def __init__(self, span: range) -> None:
        self._first = span.start
        self.width = max(math.ceil(len(span) / MAX_POINTS), 1)
        self._bins: dict[int, Bin] = {}
        self._singles: dict[int, Bin] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Add one second."""
        place = (snapshot.interval - self._first) // self.width
        start = float(self._first + place * self.width)
        _add(self._bins.setdefault(place, Bin(start)), snapshot, LATENCIES)
        if self.width > 1:
            # A second in which a stage ends comes in two parts.
            _count(self._singles.setdefault(snapshot.interval, Bin(float(snapshot.interval))), snapshot)

    def done(self) -> list[Bin]:
        """Give the bins in the order of time."""
        for interval, single in self._singles.items():
            _stretch(self._bins[(interval - self._first) // self.width], single)
        return [self._bins[place] for place in sorted(self._bins)]


def _stretch(total: Bin, single: Bin) -> None:
    """Note the extremes of one of a bin's seconds."""
    values = {
        column: single.counters.get(counter, 0) / single.seconds
        for counter, column in RATES
        if single.seconds > _SHORT
    }
    if single.connected is not None:
        values["connected"] = single.connected
    for name, value in values.items():
        total.lows[name] = min(value, total.lows.get(name, value))
        total.highs[name] = max(value, total.highs.get(name, value))


def _add(total: Bin, snapshot: Snapshot, metrics: Collection[str] | None = None) -> None:
    """Add one second; counters and histograms (of some metrics) add up, of gauges the later one stays."""
    _count(total, snapshot)
    for key, histogram in snapshot.histograms.items():
        name = key.partition("|")[0]
        if metrics is not None and name not in metrics:
            continue
        known = total.histograms.get(name)
        if known is None:
            total.histograms[name] = histogram.copy()
        else:
            known += histogram
    nodes = {key[len(_NODE) :]: value for key, value in snapshot.gauges.items() if key.startswith(_NODE)}
    if nodes:
        total.nodes = nodes
    total.cpu = snapshot.gauges.get("cpu_seconds", total.cpu)
    total.backlog = snapshot.gauges.get("backlog", total.backlog)
    memory = snapshot.gauges.get("rss")
    if memory is not None:
        total.memory = max(memory, total.memory or 0.0)


def _count(total: Bin, snapshot: Snapshot) -> None:
    """Add the counters of one second, and note how many clients were connected."""
    total.seconds += max(snapshot.seconds, 0.0)
    for key, number in snapshot.counters.items():
        name = key.partition("|")[0]
        total.counters[name] = total.counters.get(name, 0) + number
    connected = [value for key, value in snapshot.gauges.items() if key.startswith("connected|")]
    if connected:
        total.connected = sum(connected)


def _columns(bins: Sequence[Bin], nodes: Sequence[str]) -> dict[str, list[float]]:
    nan = math.nan
    percents = [percent for _, percent in STATISTICS]
    empty = [nan] * len(percents)
    columns = {
        column: [one.counters.get(counter, 0) / (one.seconds or 1.0) for one in bins]
        for counter, column in (*RATES, *((name, name) for name, _ in ERRORS))
    }
    for column in ("connected", "memory", "backlog"):
        columns[column] = [nan if (value := getattr(one, column)) is None else value for one in bins]
    columns["cpu"] = _cpu(bins)
    for index, node in enumerate(nodes):
        columns[f"node_{index}"] = [one.nodes.get(node, 0.0) if one.nodes else nan for one in bins]
    for metric in LATENCIES:
        found = [one.histograms.get(metric) for one in bins]
        rows = [h.percentiles(percents) if h else empty for h in found]
        for place, (statistic, _) in enumerate(STATISTICS):
            columns[f"{metric}_{statistic}"] = [row[place] / _NS for row in rows]
    return columns


def _cpu(bins: Sequence[Bin]) -> list[float]:
    """CPU time of all workers over elapsed time in each bin, in percent of one core."""
    shares: list[float] = []
    known: float | None = None
    for one in bins:
        used = None if one.cpu is None or known is None else one.cpu - known
        # A worker that is lost takes its share of the sum with it.
        shares.append(
            100 * used / one.seconds if used is not None and used >= 0 and one.seconds else math.nan
        )
        known = one.cpu if one.cpu is not None else known
    return shares


def _extremes(bins: Sequence[Bin]) -> dict[str, list[float]]:
    """The lowest and the highest second in each bin, of the rates and of connected clients."""
    return {
        f"{column}_{suffix}": [getattr(one, f"{suffix}s").get(column, math.nan) for one in bins]
        for column in (*(column for _, column in RATES), "connected")
        for suffix in ("low", "high")
    }
