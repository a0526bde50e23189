"""Charts of a comparison: both sides' percentile spectra and latencies over time, laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource
from bokeh.models.tickers import FixedTicker

from loadgen.report.charts import Chart
from loadgen.report.plots import LATENCY_HOVER, Line, add_hover, add_line, empty_plot, time_axis
from loadgen.report.series import spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.model import Comparison
    from loadgen.compare.series import Series
    from loadgen.metrics.histogram import Histogram

_SIDES = (("base", "base", "blue", "solid"), ("run", "run", "orange", "dashed"))
_TICKS = {x: f"{100 - 100 / x:.6g} %" for x in (2, 10, 100, 1000, 10_000, 100_000)}


def draw(comparison: Comparison) -> list[Chart]:
    """Draw every chart there is data for: a spectrum and the time of each latency."""
    charts = []
    for metric, pair in comparison.spectra.items():
        charts.append(_spectrum(metric, pair))
        if metric in comparison.series:
            charts.append(_over_time(metric, comparison.series[metric]))
    return charts


def _spectrum(metric: str, pair: Sequence[Histogram]) -> Chart:
    """Lay whole distributions over each other: where they part, the tail is to the right."""
    far = max(histogram.count for histogram in pair)
    plot = empty_plot(Range1d(start=1, end=max(far, 10) * 1.1), log=True, x_log=True)
    key, lines = f"spectrum_{metric}", []
    for (column, name, colour, dash), histogram in zip(_SIDES, pair, strict=True):
        xs, ys = spectrum(histogram)
        line = Line(column, name, colour, dash, 2.2)
        source = ColumnDataSource({"x": xs, column: ys, "percentile": [f"{100 - 100 / x:.5g} %" for x in xs]})
        renderer = add_line(plot, key, line, source, "x")
        tips = [("percentile", "@percentile"), (name, LATENCY_HOVER.replace("COLUMN", column))]
        add_hover(plot, renderer, tips, [column])
        lines.append(line)
    plot.xaxis.ticker = FixedTicker(ticks=list(_TICKS))
    plot.xaxis.major_label_overrides = _TICKS
    title = f"{metric.replace('_', ' ').capitalize()} by percentile"
    note = "All samples of the recorded stages; each step to the right is ten times rarer."
    return Chart(key, title, note, plot, tuple(lines))


def _over_time(metric: str, pair: Sequence[Series]) -> Chart:
    """Lay percentiles over time over each other: the same place of a stage at the same time."""
    key = f"time_{metric}"
    columns: dict[str, Any] = {"time": pair[0].time}
    lines = []
    for (column, name, colour, _), series in zip(_SIDES, pair, strict=True):
        for percentile, values, dash in zip(
            ("p50", "p99"), series.percentiles, ("solid", "dashed"), strict=True
        ):
            columns[f"{column}_{percentile}"] = values
            lines.append(Line(f"{column}_{percentile}", f"{name} {percentile}", colour, dash))
    source = ColumnDataSource(columns)
    end = max(1.0, pair[0].time[-1])
    plot = empty_plot(Range1d(start=0, end=end, bounds=(0, end)), log=True)
    time_axis(plot)
    for line in lines:
        add_line(plot, key, line, source, "time")
    # The pointer is looked up on a line of its own, so that hiding a line leaves the figures.
    anchor = plot.line("time", lines[0].column, source=source, line_alpha=0)
    tips = [
        ("at", "@time{0}s"),
        *((line.name, LATENCY_HOVER.replace("COLUMN", line.column)) for line in lines),
    ]
    add_hover(plot, anchor, tips, [line.column for line in lines])
    title = f"{metric.replace('_', ' ').capitalize()} over time"
    note = "Seconds since the first recorded stage began; of several runs the mean of their percentiles."
    return Chart(key, title, note, plot, tuple(lines))
