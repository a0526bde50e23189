"""The report's charts: which there are, what each shows and how to read it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bokeh.models.annotations import Span
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tickers import FixedTicker

from loadgen.report.plots import (
    DASHES,
    LATENCY_HOVER,
    Line,
    add_hover,
    add_line,
    empty_plot,
    shade_stages,
    shade_windows,
    time_axis,
)
from loadgen.report.series import ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.series import RunSeries

_LAG_LIMIT = 0.1
"""Seconds; the generator's default limits, when a result does not say."""
_PERCENTILE_TICKS = {
    2: "50 %",
    10: "90 %",
    100: "99 %",
    1000: "99.9 %",
    10_000: "99.99 %",
    100_000: "99.999 %",
}
_PERCENTILE_LINES = (
    ("p50", "blue", "solid", 1.8),
    ("p95", "green", "dashed", 1.6),
    ("p99", "orange", "solid", 1.8),
    ("max", "grey", "dotted", 1.4),
)
_NODE_STYLES = (
    ("orange", "solid"),
    ("green", "dashed"),
    ("pink", "dotdash"),
    ("grey", "solid"),
    ("orange", "dotted"),
    ("green", "dotted"),
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart with the words that go with it."""

    key: str
    title: str
    note: str
    """How to read it, in one sentence."""
    plot: Any
    """A bokeh figure."""
    lines: tuple[Line, ...]

    def legend(self) -> list[tuple[str, str, str, str]]:
        """Give for each line: the name the script knows, its words, colour and SVG dash pattern."""
        return [(line.tag(self.key), line.name, line.colour, DASHES[line.dash]) for line in self.lines]


def draw(series: RunSeries, result: Mapping[str, Any]) -> list[Chart]:
    """Draw every chart there is data for, in reading order; a run without data has none."""
    timed = _TimeCharts(series, result) if series.time else None
    charts = [timed.rates(), timed.connected(), *timed.latencies(), *timed.errors()] if timed else []
    if series.spectrum:
        charts.append(_spectrum(series.spectrum))
    return [*charts, *(timed.generator() if timed else [])]


class _TimeCharts:
    """Charts over time: one data source, one range, so that zooming one zooms all."""

    def __init__(self, series: RunSeries, result: Mapping[str, Any]) -> None:
        self._series = series
        self._limits = (result.get("generator") or {}).get("limits") or {}
        self._source = ColumnDataSource({"time": series.time, **series.columns})
        self._stages = [
            (str(stage.get("name") or ""), float(start), float(start) + float(duration))
            for stage in result.get("stages") or []
            if (start := stage.get("started_at_s")) is not None and (duration := stage.get("duration"))
        ]
        end = max([1.0, series.time[-1], *(end for _, _, end in self._stages)])
        self._windows = fault_windows(result)
        self._range = Range1d(start=0, end=end, bounds=(0, end))

    def rates(self) -> Chart:
        """Draw messages per second."""
        lines = (
            Line("published", "published", "blue", width=3.2),
            Line("acknowledged", "acknowledged", "orange", "dashed"),
            Line("delivered", "delivered", "green"),
        )
        note = "With fan-out there are more deliveries than publishes."
        return self._chart("rates", "Messages per second", note, lines, "@{COLUMN}{0,0.[0]}/s")

    def connected(self) -> Chart:
        """Draw connected clients: all, and for each node when there are several."""
        lines = [Line("connected", "all clients", "blue", width=2.2)]
        if 1 < len(self._series.nodes) <= len(_NODE_STYLES):
            lines += [
                Line(f"node_{index}", node, *style)
                for index, (node, style) in enumerate(zip(self._series.nodes, _NODE_STYLES, strict=False))
            ]
        return self._chart(
            "connected", "Connected clients", "At the end of each second.", lines, "@{COLUMN}{0,0}"
        )

    def latencies(self) -> list[Chart]:
        """Draw the percentiles over time of what was measured, on a logarithmic scale."""
        return [
            self._chart(
                metric,
                title,
                note,
                [
                    Line(f"{metric}_{name}", name, colour, dash, width)
                    for name, colour, dash, width in _PERCENTILE_LINES
                ],
            )
            for metric, title, note in (
                ("publish_latency", "Publish latency", "Intended time of a publish to its PUBACK."),
                (
                    "delivery_latency",
                    "Delivery latency",
                    "Intended time of a publish to a subscriber's receipt.",
                ),
            )
            if self._has(f"{metric}_p50")
        ]

    def errors(self) -> list[Chart]:
        """Draw what went wrong, when anything did."""
        styles = (("orange", "solid"), ("pink", "dashed"), ("blue", "dotdash"), ("grey", "dotted"))
        lines = [
            Line(counter, words, *style)
            for (counter, words), style in zip(ERRORS, styles, strict=True)
            if any(self._series.columns[counter])
        ]
        if not lines:
            return []
        note = "A publish is refused by PUBACK 0x10 or 0x80 and above; held back while its client is away."
        return [self._chart("errors", "Errors per second", note, lines, "@{COLUMN}{0,0.[0]}/s")]

    def generator(self) -> list[Chart]:
        """Draw the generator's own lags, and the limits above which the run is invalid."""
        lines = [
            line
            for line in (
                Line("send_lag_p99", "send lag p99", "blue"),
                Line("loop_lag_p99", "loop lag p99", "orange", "dashed"),
            )
            if self._has(line.column)
        ]
        if not lines:
            return []
        note = "How late loadgen itself was. Over the grey line in the whole run, the run is invalid."
        chart = self._chart("generator", "The generator itself", note, lines)
        limits = sorted({self._limits.get(name, _LAG_LIMIT) for name in ("send_lag", "loop_lag")})
        for limit in limits:
            chart.plot.add_layout(
                Span(
                    location=limit, dimension="width", line_color="#8B929C", line_dash="dotted", line_width=2
                )
            )
        worst = max(max(filter(math.isfinite, self._series.columns[line.column])) for line in lines)
        chart.plot.y_range.end = 1.5 * max(worst, limits[-1])
        return [chart]

    def _has(self, column: str) -> bool:
        return any(not math.isnan(value) for value in self._series.columns[column])

    def _chart(
        self, key: str, title: str, note: str, lines: Sequence[Line], hover: str = LATENCY_HOVER
    ) -> Chart:
        latency = hover == LATENCY_HOVER
        plot = empty_plot(self._range, log=latency)
        time_axis(plot)
        if self._stages:
            shade_stages(plot, self._stages)
        shade_windows(plot, self._windows)
        if not latency:
            plot.y_range.start = 0
        for line in lines:
            add_line(plot, key, line, self._source, "time")
        # The pointer is looked up on a line of its own, so that hiding a line leaves the figures.
        anchor = plot.line("time", lines[0].column, source=self._source, line_alpha=0)
        tips = [("at", "@time{0}s"), *((line.name, hover.replace("COLUMN", line.column)) for line in lines)]
        add_hover(plot, anchor, tips, [line.column for line in lines] if latency else ())
        return Chart(key, title, note, plot, tuple(lines))


def fault_windows(result: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Give start and end of each fault's window, in seconds since the start of the run."""
    windows = []
    for fault in result.get("faults") or []:
        window = fault.get("window") or {}
        start, end = window.get("start"), window.get("end")
        if start is not None:
            windows.append((float(start), float(end if end is not None else start)))
    return windows


def _spectrum(spectrum: Mapping[str, tuple[list[float], list[float]]]) -> Chart:
    """Draw whole distributions: the tail is where the reader looks, so it gets the room."""
    far = max(xs[-1] for xs, _ in spectrum.values())
    plot = empty_plot(Range1d(start=1, end=max(far, 10) * 1.1), log=True, x_log=True)
    styles = (("blue", "solid"), ("pink", "dashed"), ("green", "solid"), ("grey", "dotted"))
    lines = []
    for (name, (xs, ys)), (colour, dash) in zip(spectrum.items(), styles, strict=False):
        line = Line(name, name.replace("_", " "), colour, dash)
        source = ColumnDataSource({"x": xs, name: ys, "percentile": [f"{100 - 100 / x:.5g} %" for x in xs]})
        renderer = add_line(plot, "spectrum", line, source, "x")
        tips = [("percentile", "@percentile"), (line.name, LATENCY_HOVER.replace("COLUMN", name))]
        add_hover(plot, renderer, tips, [name])
        lines.append(line)
    plot.xaxis.ticker = FixedTicker(ticks=list(_PERCENTILE_TICKS))
    plot.xaxis.major_label_overrides = _PERCENTILE_TICKS
    note = "All samples of the recorded stages; each step to the right is ten times rarer."
    return Chart("spectrum", "Latency by percentile", note, plot, tuple(lines))
