"""Charts of one fault: the fleet around it in tenths of a second, and how long each client was away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bokeh.models.ranges import Range1d

from loadgen.metrics.histogram import Histogram
from loadgen.report import figures
from loadgen.report.chart import Chart
from loadgen.report.marking import Marking
from loadgen.report.moments import moments
from loadgen.report.plots import (
    Kit,
    Line,
    add_hover,
    add_line,
    add_rising_steps,
    anchor,
    columns,
    empty_plot,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.fault_curves import FaultCurve

_SPREADS = (
    ("detect", "fault to noticed", "grey", "dotted"),
    ("reconnect", "noticed to CONNACK", "blue", "solid"),
    ("ready", "noticed to ready", "green", "dashed"),
    ("first_ack", "noticed to first acknowledgement", "orange", "solid"),
    ("first_delivery", "noticed to first delivery", "pink", "dotdash"),
)
_SHARES = tuple(2.5 * step for step in range(41))
"""Percent of the clients for which times are drawn."""
_SHORTEST = 1e-6
"""Seconds; what is shorter is drawn there."""
MOST_FAULTS = 20
"""Charts of more faults than these would make the page too heavy; the tables have them all."""


def fault_charts(
    result: Mapping[str, Any], curves: Sequence[FaultCurve], kit: Kit | None = None
) -> list[Chart]:
    """Draw the charts of each fault that has something to draw; a chart's section is `fault_…`."""
    faults = result.get("faults") or []
    kit = kit or Kit()
    marking = Marking(moments(result), kit)
    charts = []
    for curve in curves[:MOST_FAULTS]:
        fault = faults[curve.place]
        charts.append(_fleet(curve, fault, kit, marking))
        if spread := _spread(curve, fault, kit):
            charts.append(spread)
    return charts


def _fleet(curve: FaultCurve, fault: Mapping[str, Any], kit: Kit, marking: Marking) -> Chart:
    """Draw rates around a fault, with lines where it was injected, healed and over."""
    key = f"fault_{curve.place}"
    data = {f"{key}_{name}": values for name, values in curve.columns.items() if name != "time"}
    source = columns(time=curve.columns["time"], **data)
    start, end = curve.columns["time"][0], curve.columns["time"][-1] + curve.width
    plot = empty_plot(kit, Range1d(start=start, end=end, bounds=(start, end)), plain=True)
    plot.xaxis.formatter = kit.ticks["clock"]
    marking.put(plot, names=False)
    lines = [
        Line(f"{key}_published", "sent", "blue", width=2.6),
        Line(f"{key}_acknowledged", "acknowledged", "orange", "dashed"),
        Line(f"{key}_delivered", "delivered", "green"),
    ]
    for line in lines:
        add_line(plot, kit, key, line, source, "time")
    tips = [("at", "@time{0.0}s"), *((line.name, f"@{{{line.column}}}{{0,0}}/s") for line in lines)]
    add_hover(
        plot,
        kit,
        anchor(plot, kit, source, "time", lines[0].column),
        [*tips, ("clients ready", f"@{{{key}_ready}}{{0,0}}")],
        {},
    )
    note = f"Messages per second, one point for each {curve.width:g} s."
    rate = fault.get("rate") or {}
    phases = [
        f"{words} {figures.rate(rate[name])}"
        for name, words in (("baseline", "before"), ("during", "in the window"), ("after", "after it"))
        if rate.get(name) is not None
    ]
    summary = f"{str(rate.get('metric') or '').capitalize()} {', '.join(phases)}." if phases else ""
    return Chart(key, f"The fleet around {curve.name}", note, plot, tuple(lines), key, summary, table="rate")


def _spread(curve: FaultCurve, fault: Mapping[str, Any], kit: Kit) -> Chart | None:
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
    shortest = max(min(histogram.min for _, histogram in found) / 1e9, _SHORTEST)
    longest = max(max(histogram.max for _, histogram in found) / 1e9, 1e-3)
    plot = empty_plot(kit, Range1d(start=shortest / 1.5, end=longest * 1.5), x_log=True, plain=True)
    plot.y_range = Range1d(start=0, end=103)
    plot.xaxis.formatter = kit.ticks["latency"]
    plot.xaxis.major_label_policy = kit.no_overlap
    plot.yaxis.formatter = kit.ticks["percent"]
    # A logarithmic axis has no place for 0.
    times = {
        line.column: [max(value / 1e9, _SHORTEST) for value in histogram.percentiles(_SHARES)]
        for line, histogram in found
    }
    source = columns(share=_SHARES, **times)
    for line, _ in found:
        add_rising_steps(plot, kit, key, line, source, "share")
    tips = [
        ("clients", "@share{0.[0]} %"),
        *((line.name, f"@{{{line.column}}}{{custom}}") for line, _ in found),
    ]
    pointed = anchor(plot, kit, source, found[0][0].column, "share")
    add_hover(plot, kit, pointed, tips, dict.fromkeys(times, "latency"), mode="hline")
    said = {
        line.column: f"half within {figures.seconds(p50 / 1e9)}, 90 % within {figures.seconds(p90 / 1e9)}, "
        f"all within {figures.seconds(histogram.max / 1e9)}"
        for line, histogram in found
        for p50, p90 in [histogram.percentiles((50, 90))]
    }
    far = max(histogram.count for _, histogram in found)
    note = f"By when which part of up to {far:,} outages had come how far."
    told = [line for line, _ in found if line.column in {f"{key}_ready", f"{key}_detect"}]
    summary = "; ".join(f"{line.name}: {said[line.column]}" for line in told)
    return Chart(
        key,
        f"How long clients were away in {curve.name}",
        note,
        plot,
        tuple(line for line, _ in found),
        f"fault_{curve.place}",
        f"{summary[:1].upper()}{summary[1:]}." if summary else "",
    )
