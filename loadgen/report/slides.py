"""Which charts there are as files, and what each shows; the drawing itself is in `slide.py`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadgen.report import figures, slide
from loadgen.report.figures import clean
from loadgen.report.series import read_series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loadgen.store import Distribution, Run

_PHASES = (
    ("tcp_connect", "TCP"),
    ("tls_handshake", "TLS handshake"),
    ("mqtt_connect", "CONNECT to CONNACK"),
    ("connect_time", "connects in their turn,\nfrom when they were due"),
)
_LATENCIES = (
    ("publish_latency", "Publish latency", "intended time to PUBACK"),
    ("delivery_latency", "Delivery latency", "intended time to receipt"),
)
_SPECTRUM = (
    ("publish_latency", "publish, response"),
    ("publish_service_time", "publish, service"),
    ("delivery_latency", "delivery, response"),
)
_LAG_LIMIT = 0.1
"""Seconds; the generator's default limits, when a result does not say."""
_MOST_NODES = 5


def draw(run: Run) -> Iterator[tuple[str, Figure]]:
    """Draw every chart there is data for, one at a time: name of the file without suffix, and figure.

    To be called within `slide.settings()`.
    """
    charts = _Charts(run)
    for name in ("rates", "connected", "publish_latency", "delivery_latency", "spectrum"):
        yield from charts.named(name)
    for name in ("connection_phases", "generator", "brokers_memory", "brokers_queues"):
        yield from charts.named(name)


class _Charts:
    """The charts of one run, on the same axis of time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._series = read_series(run.intervals(), run.result.get("stages") or [], span=run.span)
        self._stages = [(clean(each.name), each.start, each.end) for each in run.stages]
        self._windows = [(clean(each.name), each.start, each.end) for each in run.faults]
        times, width = self._series.time, self._series.width
        # What was counted in an interval stands at its middle: a fault comes before what it does.
        self._middles = [start + width / 2 for start in times]
        self._ends = [start + width for start in times]
        ends = [end for _, _, end in self._stages]
        self._end = max([1.0, *self._ends[-1:], *ends])
        verdict = str(run.result.get("verdict") or "invalid")
        self._doubtful = verdict == "invalid"
        self._subtitle = _subtitle(run, verdict)

    def named(self, name: str) -> Iterator[tuple[str, Figure]]:
        """Give a chart by its name; none when there is nothing to draw."""
        drawn: Figure | None = getattr(self, f"_{name}")()
        if drawn is not None:
            yield name, drawn

    # -- over time -------------------------------------------------------------------------------

    def _rates(self) -> Figure | None:
        columns = self._series.columns
        lines = [(words, columns[words]) for words in ("published", "acknowledged", "delivered")]
        if not any(any(values) for _, values in lines):
            return None
        figure, axes = self._new("Messages per second")
        for style, (words, values) in enumerate(lines):
            # Two that are alike lie on each other: the one below is wider.
            slide.line(axes, self._middles, values, words, style, linewidth=(4.2, 2.2, 2.2)[style])
        slide.count_axis(axes, "messages per second")
        return self._over_time(figure, axes)

    def _connected(self) -> Figure | None:
        columns, nodes = self._series.columns, self._series.nodes
        if not _known(columns.get("connected", [])):
            return None
        figure, axes = self._new("Connected clients")
        slide.line(axes, self._ends, columns["connected"], "all", 0, linewidth=3)
        if 1 < len(nodes) <= _MOST_NODES:
            for place, node in enumerate(nodes):
                slide.line(axes, self._ends, columns[f"node_{place}"], clean(node), place + 1)
        slide.count_axis(axes, "clients")
        return self._over_time(figure, axes)

    def _publish_latency(self) -> Figure | None:
        return self._latency(*_LATENCIES[0])

    def _delivery_latency(self) -> Figure | None:
        return self._latency(*_LATENCIES[1])

    def _latency(self, metric: str, title: str, meaning: str) -> Figure | None:
        if not _known(self._series.columns.get(f"{metric}_p50", [])):
            return None
        figure, axes = self._new(f"{title} ({meaning})")
        for name, style in (("max", 5), ("p99", 1), ("p95", 2), ("p50", 0)):
            values = _positive(self._series.columns[f"{metric}_{name}"])
            slide.line(axes, self._middles, values, name, style)
        slide.latency_axis(axes.yaxis, "latency")
        return self._over_time(figure, axes)

    def _generator(self) -> Figure | None:
        shown = [
            (words, values)
            for column, words in (("send_lag_p99", "send lag p99"), ("loop_lag_p99", "loop lag p99"))
            if _known(values := self._series.columns.get(column, []))
        ]
        if not shown:
            return None
        figure, axes = self._new("The generator's own lateness")
        for style, (words, values) in enumerate(shown):
            slide.line(axes, self._middles, _positive(values), words, style)
        limits = (self._run.result.get("generator") or {}).get("limits") or {}
        for limit in sorted({limits.get(name) or _LAG_LIMIT for name in ("send_lag", "loop_lag")}):
            label = f"limit of a valid run, {figures.seconds(limit)}"
            axes.axhline(limit, color=slide.COLOURS["ink"], linewidth=1.4, linestyle=(0, (1, 2)), label=label)
        slide.latency_axis(axes.yaxis, "lag")
        return self._over_time(figure, axes)

    def _brokers_memory(self) -> Figure | None:
        nodes: dict[str, list[tuple[float, float]]] = {}
        for sample in self._run.broker_samples():
            for node in sample.nodes:
                value = math.nan if node.footprint is None else node.footprint / 1e6
                nodes.setdefault(node.name, []).append((self._run.at(sample.ns), value))
        if not any(_known([value for _, value in points]) for points in nodes.values()):
            return None
        figure, axes = self._new("Memory of the brokers")
        for style, (name, points) in enumerate(sorted(nodes.items())[:_MOST_NODES]):
            slide.line(axes, *_columns(points), clean(name), style)
        slide.count_axis(axes, "memory, MB")
        return self._over_time(figure, axes)

    def _brokers_queues(self) -> Figure | None:
        samples = self._run.broker_samples()
        points = [
            (self._run.at(each.ns), math.nan if each.queue_depth is None else float(each.queue_depth))
            for each in samples
        ]
        if not _known([value for _, value in points]):
            return None
        figure, axes = self._new("Messages in the brokers' queues")
        slide.line(axes, *_columns(points), "ready and unacknowledged", 0)
        slide.count_axis(axes, "messages")
        return self._over_time(figure, axes)

    # -- of the whole run ------------------------------------------------------------------------

    def _spectrum(self) -> Figure | None:
        found = [(words, self._run.histogram(metric)) for metric, words in _SPECTRUM]
        found = [(words, one) for words, one in found if one.count]
        if not found:
            return None
        figure, axes = self._new("Latency by percentile, recorded stages")
        for style, (words, one) in enumerate(found):
            slide.line(axes, *_odds(one), f"{words} ({figures.count(one.count)})", style)
        far = max(one.count for _, one in found)
        axes.set_xscale("log")
        axes.set_xlim(1, max(far, 10) * 1.1)
        marks = [(2, "50 %")] + [
            (10**nines, f"{100 - 100 / 10**nines:.{max(nines - 2, 0)}f} %") for nines in range(1, 8)
        ]
        labels = dict(marks)
        axes.xaxis.set_major_locator(FixedLocator([odds for odds, _ in marks if odds <= max(far, 10) * 1.1]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda odds, _: labels.get(round(odds), "")))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("percentile: each mark to the right is ten times rarer")
        slide.latency_axis(axes.yaxis, "latency")
        slide.legend(axes)
        return figure

    def _connection_phases(self) -> Figure | None:
        found = [(words, self._run.histogram(metric)) for metric, words in _PHASES]
        found = [(words, one) for words, one in found if one.count]
        if not found:
            return None
        figure, axes = self._new("Connecting, by phase")
        marks = ((50.0, "o", "p50"), (95.0, "s", "p95"), (99.0, "D", "p99"), (100.0, "|", "max"))
        for row, (_, one) in enumerate(reversed(found)):
            values = _positive(one.percentiles([percent for percent, *_ in marks]))
            axes.plot([values[0], values[-1]], [row, row], color=slide.COLOURS["sky"], linewidth=3, zorder=1)
            for (_, marker, name), value, colour in zip(
                marks, values, ("blue", "green", "orange", "ink"), strict=True
            ):
                axes.plot(
                    [value],
                    [row],
                    linestyle="none",
                    marker=marker,
                    markersize=16 if marker == "|" else 11,
                    markeredgewidth=3 if marker == "|" else 1,
                    color=slide.COLOURS[colour],
                    label=name if row == 0 else None,
                    zorder=3,
                )
            for value, side in ((values[0], "right"), (values[-1], "left")):
                axes.annotate(
                    figures.seconds(value),
                    (value, row),
                    xytext=(-11 if side == "right" else 11, 0),
                    textcoords="offset points",
                    ha=side,
                    va="center",
                    fontsize=13,
                )
        names = [f"{words}\n({figures.count(one.count)})" for words, one in reversed(found)]
        axes.set_yticks(range(len(found)), names)
        axes.set_ylim(-0.6, len(found) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        slide.latency_axis(axes.xaxis, "duration")
        axes.margins(x=0.16)
        slide.legend(axes)
        return figure

    # -- what they share -------------------------------------------------------------------------

    def _new(self, title: str) -> tuple[Figure, Axes]:
        return slide.new_chart(title, self._subtitle, doubtful=self._doubtful)

    def _over_time(self, figure: Figure, axes: Axes) -> Figure:
        slide.time_axis(axes, self._end)
        slide.mark_stages(axes, self._stages)
        slide.shade_faults(axes, self._windows)
        slide.legend(axes)
        return figure


def _subtitle(run: Run, verdict: str) -> str:
    """Say what was run, and when, so that a chart that goes its own way still tells."""
    broker = run.result.get("broker") or {}
    what = " ".join(str(part) for part in (broker.get("kind"), broker.get("version")) if part)
    moment = run.started_at.strftime("%Y-%m-%d %H:%M UTC") if run.started_at else ""
    clients = (run.result.get("totals") or {}).get("clients")
    words = {"pass": "", "fail": "verdict: fail"}.get(verdict, "INVALID RUN: its figures prove nothing")
    parts = (run.name, what, f"{figures.count(clients)} clients" if clients else "", moment, words)
    return "  ·  ".join(clean(part) for part in parts if part)


def _known(values: Sequence[float]) -> bool:
    return any(not math.isnan(value) for value in values)


def _positive(values: Sequence[float]) -> list[float]:
    """For an axis that has no zero: a sample of less than a microsecond is drawn at one."""
    return [max(value, 1e-6) if not math.isnan(value) else value for value in values]


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _odds(one: Distribution) -> tuple[list[float], list[float]]:
    """The spectrum against 1/(1-quantile); the largest sample stands at one in as many as there are."""
    points = one.spectrum()
    xs = [100.0 / (100.0 - percent) if percent < 100 else float(one.count) for percent, _ in points]
    return xs, _positive([value for _, value in points])
