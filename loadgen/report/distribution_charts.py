"""Charts of whole distributions: latency by percentile, and the phases of a connection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bokeh.models.ranges import Range1d
from bokeh.models.tickers import FixedTicker

from loadgen.report import figures
from loadgen.report.chart import Chart
from loadgen.report.plots import Line, add_hover, add_line, columns, empty_plot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.plots import Kit

    Distributions = Mapping[str, tuple[Sequence[float], Sequence[float]]]


_TICKS = {
    2: "50 %",
    10: "90 %",
    100: "99 %",
    1000: "99.9 %",
    10_000: "99.99 %",
    100_000: "99.999 %",
}
_SPECTRUM = {
    "publish_latency": ("publish, response", "blue", "solid", 2.4),
    "publish_service_time": ("publish, service", "pink", "dashed", 1.8),
    "delivery_latency": ("delivery", "green", "solid", 1.8),
}
_PHASES = {
    "tcp_connect": ("TCP", "grey", "dotted", 2.0),
    "tls_handshake": ("TLS handshake", "pink", "dashed", 1.8),
    "mqtt_connect": ("CONNECT to CONNACK", "orange", "solid", 1.8),
    "subscribe_time": ("SUBSCRIBE to SUBACK", "green", "dotdash", 1.8),
    "connect_time": ("in all, first connections", "blue", "solid", 2.4),
}


def spectrum(found: Distributions, kit: Kit) -> list[Chart]:
    """Draw latency by percentile, response against service: each step to the right is ten times rarer."""
    note = "All samples of the recorded stages; each step to the right is ten times rarer."
    return _by_percentile("spectrum", "Latency by percentile", note, "latency", found, _SPECTRUM, kit)


def phases(found: Distributions, kit: Kit) -> list[Chart]:
    """Draw how long each phase of a connection took."""
    note = "Every connection made, reconnects too; each step to the right is ten times rarer."
    return _by_percentile("phases", "Phases of a connection", note, "connecting", found, _PHASES, kit)


def _by_percentile(  # noqa: PLR0917 - two callers, above
    key: str,
    title: str,
    note: str,
    section: str,
    found: Distributions,
    styles: Mapping[str, tuple[str, str, str, float]],
    kit: Kit,
) -> list[Chart]:
    known = {name: curve for name, curve in found.items() if name in styles}
    if not known:
        return []
    far = max(xs[-1] for xs, _ in known.values())
    plot = empty_plot(kit, Range1d(start=1, end=max(10.0, far * 1.2)), unit="latency", x_log=True)
    lines, said = [], []
    for name, (xs, ys) in known.items():
        words, colour, dash, width = styles[name]
        line = Line(name, words, colour, dash, width)
        # A logarithmic axis has no place for 0.
        data = {"x": xs, name: [value or math.nan for value in ys]}
        source = columns(**data, percentile=[f"{100 - 100 / x:.5g} %" for x in xs])
        renderer = add_line(plot, kit, key, line, source, "x")
        tips = [("percentile", "@percentile"), (words, f"@{{{name}}}{{custom}}")]
        add_hover(plot, kit, renderer, tips, {name: "latency"})
        lines.append(line)
        read = [figures.seconds(_at(xs, ys, x)) for x in (2, 100)] + [figures.seconds(ys[-1])]
        said.append(f"{words} {' / '.join(read)}")
    plot.xaxis.ticker = FixedTicker(ticks=list(_TICKS))
    plot.xaxis.major_label_overrides = _TICKS
    return [Chart(key, title, note, plot, tuple(lines), section, f"p50 / p99 / max: {'; '.join(said)}.")]


def _at(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Read a curve at one of its points; its last one when it ends before."""
    return next((y for place, y in zip(xs, ys, strict=True) if place >= x * (1 - 1e-9)), ys[-1])
