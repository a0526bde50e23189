"""Charts over time of a whole run: one data source, one range, so that zooming one zooms all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bokeh.models.annotations import Span
from bokeh.models.ranges import Range1d

from loadgen.report import summaries
from loadgen.report.advice import LAG_LIMIT
from loadgen.report.chart import Chart
from loadgen.report.marking import Marking
from loadgen.report.moments import moments
from loadgen.report.plots import LIGHT, Kit, Line, add_band, add_hover, add_line, anchor, columns, empty_plot
from loadgen.report.series import ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.series import RunSeries

_PERCENTILE_LINES = (
    ("p50", "blue", "solid", 1.8),
    ("p95", "green", "dashed", 1.6),
    ("p99", "orange", "solid", 1.8),
    ("max", "grey", "dotted", 1.4),
)
NODE_STYLES = (
    ("orange", "solid"),
    ("green", "dashed"),
    ("pink", "dotdash"),
    ("grey", "solid"),
    ("orange", "dotted"),
    ("green", "dotted"),
)
_ERROR_STYLES = (("orange", "solid"), ("pink", "dashed"), ("blue", "dotdash"), ("grey", "dotted"))
_PATTERNS = {
    "number": "@{COLUMN}{0,0.[0]}",
    "rate": "@{COLUMN}{0,0.[0]}/s",
    "percent": "@{COLUMN}{0.[0]} %",
}
"""Tooltip patterns by unit; other units have a formatter of their own."""


class TimeCharts:
    """Draws the charts over time."""

    def __init__(self, series: RunSeries, result: Mapping[str, Any], kit: Kit) -> None:
        """Prepare what they share.

        Args:
            series: The run's columns; `time` must not be empty.
            result: The content of result.json.
            kit: What the charts of a page share.
        """
        self._series, self._result, self._kit = series, result, kit
        self._source = columns(time=series.time, **series.columns)
        marked = moments(result)
        end = max([1.0, series.time[-1] + series.width - 1, *(end for _, _, end in marked.stages)])
        # One point would sit on the edge, half of it cut off.
        start = 0.0 if len(series.time) > 1 else series.time[0] - 0.5
        self._range = Range1d(start=start, end=end, bounds=(start, end))
        self._marking = Marking(marked, kit)

    def load(self) -> list[Chart]:
        """Draw what the fleet did: rates, connected clients, latencies and errors."""
        return [self._rates(), self._connected(), *self._latencies(), *self._errors()]

    def generator(self) -> list[Chart]:
        """Draw the generator's own health: its lags with their limits, CPU, memory and what waits."""
        return [*self._lags(), *self._usage()]

    def _rates(self) -> Chart:
        lines = [
            Line("intended", "intended", "grey", "dotted", 2.4),
            Line("published", "sent", "blue", width=2.6),
            Line("acknowledged", "acknowledged", "orange", "dashed"),
            Line("delivered", "delivered", "green"),
        ]
        note = (
            "What the schedule asks for, and what became of it; fan-out makes more deliveries than publishes."
        )
        return self.chart(
            "rates", "Messages per second", note, lines, "rate", summary=summaries.rates(self._series)
        )

    def _connected(self) -> Chart:
        lines = [Line("connected", "all clients", "blue", width=2.4)]
        if 1 < len(self._series.nodes) <= len(NODE_STYLES):
            lines += [
                Line(f"node_{index}", node, *style)
                for index, (node, style) in enumerate(zip(self._series.nodes, NODE_STYLES, strict=False))
            ]
        note = f"In all and by node, at the end of each {_interval(self._series)}."
        summary = summaries.connected(self._series)
        return self.chart("connected", "Connected clients", note, lines, "number", summary=summary)

    def _latencies(self) -> list[Chart]:
        return [
            self.chart(
                metric,
                title,
                note,
                [
                    Line(f"{metric}_{name}", name, colour, dash, width)
                    for name, colour, dash, width in _PERCENTILE_LINES
                ],
                "latency",
                summary=summaries.latency(self._series, self._result, metric),
            )
            for metric, title, note in (
                ("publish_latency", "Publish latency", "From the intended time of a publish to its PUBACK."),
                (
                    "delivery_latency",
                    "Delivery latency",
                    "From the intended time of a publish to a subscriber's receipt.",
                ),
            )
            if self._has(f"{metric}_p50")
        ]

    def _errors(self) -> list[Chart]:
        lines = [
            Line(counter, words, *style)
            for (counter, words), style in zip(ERRORS, _ERROR_STYLES, strict=True)
            if any(self._series.columns[counter])
        ]
        if not lines:
            return []
        note = "A publish is refused by PUBACK 0x10 or 0x80 and above; held back while its client is away."
        return [
            self.chart(
                "errors", "Errors per second", note, lines, "rate", summary=summaries.errors(self._series)
            )
        ]

    def _lags(self) -> list[Chart]:
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
        known = (self._result.get("generator") or {}).get("limits") or {}
        limits = sorted({known.get(name, LAG_LIMIT) for name in ("send_lag", "loop_lag")})
        note = "How late loadgen itself was. Above the red line in the whole run, the run is invalid."
        summary = summaries.lags(self._series, self._result, limits[-1])
        chart = self.chart("lags", "The generator's lag", note, lines, "latency", "generator", summary)
        for limit in limits:
            chart.plot.add_layout(
                Span(
                    location=limit,
                    dimension="width",
                    line_color=LIGHT["fault"],
                    line_dash="dashed",
                    line_width=1.6,
                    tags=["colour:fault"],
                )
            )
        worst = max(max(filter(math.isfinite, self._series.columns[line.column])) for line in lines)
        chart.plot.y_range.end = 1.5 * max(worst, limits[-1])
        return [chart]

    def _usage(self) -> list[Chart]:
        charts = []
        if self._has("cpu"):
            note = "Of all workers together; 100 % is one core."
            lines = [Line("cpu", "CPU", "blue")]
            summary = summaries.usage(self._series, "cpu")
            charts.append(
                self.chart("cpu", "The generator's CPU", note, lines, "percent", "generator", summary)
            )
        if self._has("memory"):
            note = "Resident memory of all workers together."
            lines = [Line("memory", "memory", "pink")]
            summary = summaries.usage(self._series, "memory")
            charts.append(
                self.chart("memory", "The generator's memory", note, lines, "size", "generator", summary)
            )
        if any(value > 0 for value in self._series.columns.get("backlog", ())):
            note = "Messages that were due and not yet sent: their clients were away, or the broker was slow."
            lines = [Line("backlog", "waiting", "orange")]
            summary = summaries.usage(self._series, "backlog")
            charts.append(
                self.chart("backlog", "Messages waiting", note, lines, "number", "generator", summary)
            )
        return charts

    def _has(self, column: str) -> bool:
        return known(self._series.columns.get(column, ()))

    def chart(  # noqa: PLR0917 - one place where all charts over time are made
        self,
        key: str,
        title: str,
        note: str,
        lines: Sequence[Line],
        unit: str,
        section: str = "time",
        summary: str = "",
        source: Any = None,  # noqa: ANN401 - bokeh's types
    ) -> Chart:
        """Draw lines over time, with stages, faults and events marked.

        Args:
            key: Of the chart.
            title: Above it.
            note: What it shows, in one sentence.
            lines: Their columns; those that the source lacks are left out.
            unit: Of the values.
            section: Where it belongs on the page.
            summary: What is to be seen, in words and figures.
            source: Columns, `time` among them; those of the run's series when left out.
        """
        source = source or self._source
        lines = [line for line in lines if line.column in source.data]
        pattern = _PATTERNS.get(unit)
        plot = empty_plot(self._kit, self._range, unit=unit if unit in self._kit.ticks else "number")
        plot.xaxis.formatter = self._kit.ticks["clock"]
        self._marking.put(plot)
        for line in lines:
            if f"{line.column}_low" in source.data:
                add_band(plot, self._kit, key, line, source)
        for line in lines:
            add_line(plot, self._kit, key, line, source, "time")
        tips = [("at", "@time{custom}")]
        units = {"time": "clock"}
        for line in lines:
            tips.append((line.name, (pattern or "@{COLUMN}{custom}").replace("COLUMN", line.column)))
            if not pattern:
                units[line.column] = unit
        if lines:
            pointed = anchor(plot, self._kit, source, "time", lines[0].column)
            add_hover(plot, self._kit, pointed, tips, units)
        return Chart(key, title, note, plot, tuple(lines), section, summary, unit)


def known(values: Sequence[float]) -> bool:
    """Whether there is any value."""
    return any(not math.isnan(value) for value in values)


def _interval(series: RunSeries) -> str:
    return "second" if series.width == 1 else f"{series.width} s"
