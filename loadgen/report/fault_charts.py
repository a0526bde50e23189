"""Charts of one fault: the fleet around it in tenths of a second, and how long each client was away."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bokeh.models.annotations import Span
from bokeh.models.ranges import Range1d
from bokeh.models.sources import ColumnDataSource

from loadgen.metrics.histogram import Histogram
from loadgen.report.charts import Chart
from loadgen.report.plots import (
    LATENCY_HOVER,
    Line,
    add_hover,
    add_line,
    empty_plot,
    shade_windows,
    time_axis,
)
from loadgen.report.series import spectrum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.fault_curves import FaultCurve

_SPREADS = (
    ("silence", "silence before it was noticed", "grey", "dotted"),
    ("reconnect", "noticed to CONNACK", "blue", "solid"),
    ("ready", "noticed to ready", "green", "dashed"),
    ("first_ack", "noticed to first acknowledgement", "orange", "solid"),
    ("first_delivery", "noticed to first delivery", "pink", "dotdash"),
)
_MOST_FAULTS = 12
"""Charts of more faults than these would make the page too heavy; the tables have them all."""


def fault_charts(result: Mapping[str, Any], curves: Sequence[FaultCurve]) -> list[Chart]:
    """Draw the charts of each fault that has something to draw."""
    faults = result.get("faults") or []
    charts = []
    for curve in curves[:_MOST_FAULTS]:
        fault = faults[curve.place]
        charts.append(_fleet(curve, fault))
        if spread := _spread(curve, fault):
            charts.append(spread)
    return charts


def _fleet(curve: FaultCurve, fault: Mapping[str, Any]) -> Chart:
    """Draw rates around a fault, with lines where it was injected, healed and over."""
    key = f"fault_{curve.place}"
    columns = {f"{key}_{name}": values for name, values in curve.columns.items() if name != "time"}
    source = ColumnDataSource({"time": curve.columns["time"], **columns})
    start, end = curve.columns["time"][0], curve.columns["time"][-1] + curve.width
    plot = empty_plot(Range1d(start=start, end=end, bounds=(start, end)))
    time_axis(plot)
    plot.y_range.start = 0
    window = fault.get("window") or {}
    opened = float(window["start"])
    closed = window.get("end")
    shade_windows(plot, [(opened, float(closed if closed is not None else end))])
    for moment, dash in ((fault.get("healed_at"), "dashed"), (fault.get("recovered_at"), "dotted")):
        if moment is not None:
            plot.add_layout(
                Span(
                    location=moment, dimension="height", line_color="#008F68", line_dash=dash, line_width=1.4
                )
            )
    lines = [
        Line(f"{key}_published", "published", "blue", width=2.6),
        Line(f"{key}_acknowledged", "acknowledged", "orange", "dashed"),
        Line(f"{key}_delivered", "delivered", "green"),
    ]
    for line in lines:
        add_line(plot, key, line, source, "time")
    anchor = plot.line("time", lines[0].column, source=source, line_alpha=0)
    tips = [("at", "@time{0.0}s"), *((line.name, f"@{{{line.column}}}{{0,0}}/s") for line in lines)]
    add_hover(plot, anchor, [*tips, ("ready clients", f"@{{{key}_ready}}{{0,0}}")], ())
    note = (
        f"Per second, from each {curve.width:g} s. Shaded: the fault's window; "
        "green lines: healed (dashed), all well again (dotted)."
    )
    return Chart(key, f"Fleet around {curve.name}", note, plot, tuple(lines))


def _spread(curve: FaultCurve, fault: Mapping[str, Any]) -> Chart | None:
    """Draw which part of the affected clients had come how far, and when."""
    key = f"spread_{curve.place}"
    encoded = fault.get("histograms") or {}
    found = [
        (Line(f"{key}_{name}", words, colour, dash), histogram)
        for name, words, colour, dash in _SPREADS
        if name in encoded and (histogram := Histogram.decode(encoded[name])).count
    ]
    if not found:
        return None
    far = max(histogram.count for _, histogram in found)
    plot = empty_plot(Range1d(start=0, end=100), log=True)
    for line, histogram in found:
        xs, ys = spectrum(histogram)
        shares = [100 - 100 / x for x in xs]
        ys = [value or math.nan for value in ys]
        source = ColumnDataSource({"share": shares, line.column: ys})
        renderer = add_line(plot, key, line, source, "share")
        tips = [("clients", "@share{0.0} %"), (line.name, LATENCY_HOVER.replace("COLUMN", line.column))]
        add_hover(plot, renderer, tips, [line.column])
    plot.xaxis.axis_label = "% of the clients"
    note = f"How long it took, from the fastest to the slowest of up to {far:,} clients."
    return Chart(key, f"Clients in {curve.name}", note, plot, tuple(line for line, _ in found))
