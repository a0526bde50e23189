"""Charts of a comparison: both sides' percentile spectra and latencies over time, laid over each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bokeh.models.ranges import Range1d
from bokeh.models.tickers import FixedTicker

from loadgen.report import figures
from loadgen.report.chart import Chart
from loadgen.report.plots import LATENCY_HOVER, Kit, Line, add_hover, add_line, anchor, columns, empty_plot
from loadgen.report.series import spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.model import Comparison
    from loadgen.compare.series import Series
    from loadgen.metrics.histogram import Histogram

_SIDES = (("base", "blue", "solid"), ("run", "orange", "dashed"))
_TICKS = {x: f"{100 - 100 / x:.6g} %" for x in (2, 10, 100, 1000, 10_000, 100_000)}


def draw(comparison: Comparison) -> list[Chart]:
    """Draw every chart there is data for: a spectrum and the time of each latency."""
    kit = Kit()
    charts = []
    for metric, pair in comparison.spectra.items():
        charts.append(_spectrum(metric, pair, kit))
        if metric in comparison.series:
            charts.append(_over_time(metric, comparison.series[metric], kit))
    return charts


def _spectrum(metric: str, pair: Sequence[Histogram], kit: Kit) -> Chart:
    """Lay whole distributions over each other: the tail is to the right."""
    far = max(histogram.count for histogram in pair)
    plot = empty_plot(kit, Range1d(start=1, end=max(10.0, far * 1.2)), unit="latency", x_log=True)
    key, lines, said = f"spectrum_{metric}", [], []
    for (name, colour, dash), histogram in zip(_SIDES, pair, strict=True):
        xs, ys = spectrum(histogram)
        line = Line(name, name, colour, dash, 2.2)
        # A logarithmic axis has no place for 0.
        data = {"x": xs, name: [value or math.nan for value in ys]}
        source = columns(**data, percentile=[f"{100 - 100 / x:.5g} %" for x in xs])
        renderer = add_line(plot, kit, key, line, source, "x")
        tips = [("percentile", "@percentile"), (name, LATENCY_HOVER.replace("COLUMN", name))]
        add_hover(plot, kit, renderer, tips, {name: "latency"})
        lines.append(line)
        p50, p99 = (figures.seconds(value / 1e9) for value in histogram.percentiles((50.0, 99.0)))
        said.append(f"{name}: p50 {p50}, p99 {p99}, max {figures.seconds(histogram.max / 1e9)}")
    plot.xaxis.ticker = FixedTicker(ticks=list(_TICKS))
    plot.xaxis.major_label_overrides = _TICKS
    title = f"{metric.replace('_', ' ').capitalize()} by percentile"
    note = "All samples of the recorded stages; each step to the right is ten times rarer."
    return Chart(key, title, note, plot, tuple(lines), "latency", f"{'; '.join(said)}.")


def _over_time(metric: str, pair: Sequence[Series], kit: Kit) -> Chart:
    """Lay percentiles over time over each other: the same place of a stage at the same time."""
    key = f"time_{metric}"
    data: dict[str, list[float]] = {"time": pair[0].time}
    lines = []
    for (name, colour, _), series in zip(_SIDES, pair, strict=True):
        for percentile, values, dash in zip(
            ("p50", "p99"), series.percentiles, ("solid", "dashed"), strict=True
        ):
            data[f"{name}_{percentile}"] = values
            lines.append(Line(f"{name}_{percentile}", f"{name} {percentile}", colour, dash))
    source = columns(**data)
    end = max(1.0, pair[0].time[-1])
    plot = empty_plot(kit, Range1d(start=0, end=end, bounds=(0, end)), unit="latency")
    plot.xaxis.formatter = kit.ticks["clock"]
    for line in lines:
        add_line(plot, kit, key, line, source, "time")
    tips = [("at", "@time{0}s")]
    tips += [(line.name, LATENCY_HOVER.replace("COLUMN", line.column)) for line in lines]
    pointer = anchor(plot, kit, source, "time", lines[0].column)
    add_hover(plot, kit, pointer, tips, {line.column: "latency" for line in lines})
    title = f"{metric.replace('_', ' ').capitalize()} over time"
    note = "Seconds since the first recorded stage began; of several runs the mean of their percentiles."
    return Chart(key, title, note, plot, tuple(lines), "latency", table="latency")
