"""How a chart is drawn with bokeh: quiet axes, lines told apart by dash as well as colour, tools for zooming.

Colours of text, grid and background come from the page's CSS variables (`--bk-…`). Glyphs cannot read these:
each is tagged, and the page's script gives it the colour of the theme in use. Lines are named, to be hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from bokeh.models.axes import LinearAxis
from bokeh.models.filters import AllIndices
from bokeh.models.formatters import CustomJSTickFormatter, NumeralTickFormatter, PrintfTickFormatter
from bokeh.models.glyphs import Line as LineGlyph
from bokeh.models.glyphs import Scatter, Step, VArea, VSpan, VStrip
from bokeh.models.labeling import NoOverlap
from bokeh.models.sources import CDSView, ColumnDataSource
from bokeh.models.text import PlainText
from bokeh.models.tickers import FixedTicker, LogTicker
from bokeh.models.tools import (
    BoxZoomTool,
    CustomJSHover,
    HoverTool,
    PanTool,
    ResetTool,
    SaveTool,
    WheelZoomTool,
)
from bokeh.plotting import figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIGHT = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#008F68",
    "pink": "#B0508A",
    "grey": "#767C85",
    "fault": "#B3261E",
    "good": "#00734F",
    "band": "#8A93A0",
}
"""Okabe and Ito's colours, told apart by colour-blind readers, a little darker where white needs it."""
DARK = {
    "blue": "#5CB8EE",
    "orange": "#F0A23B",
    "green": "#35CBA0",
    "pink": "#E3A0CA",
    "grey": "#8B929C",
    "fault": "#FF8A80",
    "good": "#4FD3A4",
    "band": "#8A93A0",
}
"""The same hues for a dark page."""

DASHES = {"solid": "", "dashed": "6 4", "dotted": "2 4", "dotdash": "2 4 6 4"}
"""Bokeh's dash patterns as SVG's `stroke-dasharray`, for the legend."""

LATENCY_HOVER = "@{COLUMN}{custom}"
"""A tooltip's pattern for a latency column: `add_hover` attaches the formatter that `custom` asks for."""

_HEIGHT = 250
# Bokeh paints these white by default; the page's variables reach into its shadow roots.
_TOOLBAR_CSS = ":host(.bk-inner) { background-color: var(--card); --icon-color: var(--soft); }"
_TOOLTIP_CSS = (
    ".bk-Tooltip { background-color: var(--card) !important; color: var(--ink) !important; "
    "border-color: var(--line) !important; --tooltip-arrow-color: var(--line); }"
)
_CLOCK_JS = """
const s = Math.round(tick * 1000) / 1000
if (Math.abs(s) < 60) return `${s}s`
const whole = Math.round(s), two = (n) => String(n).padStart(2, "0")
return whole < 3600 ? `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
                    : `${Math.floor(whole / 3600)}h ${two(Math.floor(whole % 3600 / 60))}m`
"""
_LATENCY_JS = """
const text = (n) => String(Number(n.toPrecision(3)))
if (tick < 0.001) return `${text(tick * 1e6)} µs`
return tick < 1 ? `${text(tick * 1000)} ms` : `${text(tick)} s`
"""
_SIZE_JS = """
const units = ["B", "kB", "MB", "GB", "TB"]
let n = tick, place = 0
while (Math.abs(n) >= 999.5 && place < 4) { n /= 1000; place += 1 }
return `${Number(n.toPrecision(3))} ${units[place]}`
"""
_VALUE_JS = {"latency": _LATENCY_JS, "size": _SIZE_JS, "clock": _CLOCK_JS}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    column: str
    name: str
    colour: str
    """A key of `LIGHT`."""
    dash: str = "solid"
    """A key of `DASHES`."""
    width: float = 1.8

    def tag(self, chart: str) -> str:
        """Give the name by which the page's script finds this line."""
        return f"{chart}/{self.column}"


@dataclass(slots=True)
class Kit:
    """What all charts of one page share, so that a page with many charts stays small."""

    ticks: dict[str, Any] = field(
        default_factory=lambda: {
            **{unit: CustomJSTickFormatter(code=code) for unit, code in _VALUE_JS.items()},
            "number": NumeralTickFormatter(format="0,0.[00]"),
            "percent": PrintfTickFormatter(format="%.3g %%"),
        }
    )
    """Formatters of an axis, by unit: `latency` (s), `size` (bytes), `clock` (s), `percent`, `number`."""
    hovers: dict[str, Any] = field(
        default_factory=lambda: {
            unit: CustomJSHover(code="if (isNaN(value)) return 'no sample'" + code.replace("tick", "value"))
            for unit, code in _VALUE_JS.items()
        }
    )
    """Formatters of a tooltip, by unit."""
    no_overlap: Any = field(default_factory=lambda: NoOverlap(min_distance=6))
    views: dict[str, Any] = field(default_factory=dict)
    """By source: the view that all glyphs of that source have, everything in it."""
    everything: Any = field(default_factory=AllIndices)

    def add(self, plot: Any, source: ColumnDataSource, glyph: Any, **more: Any) -> Any:  # noqa: ANN401
        """Put a glyph on a plot, without the variants for selections that bokeh would add."""
        view = self.views.setdefault(source.id, CDSView(filter=self.everything))
        return plot.add_glyph(source, glyph, view=view, nonselection_glyph=None, muted_glyph=None, **more)


def columns(**data: Sequence[float] | Sequence[str]) -> ColumnDataSource:
    """Make a source of columns; numbers become 32-bit floats, seven digits, to keep the page small."""
    return ColumnDataSource(
        {
            name: list(values) if values and isinstance(values[0], str) else np.asarray(values, "float32")
            for name, values in data.items()
        }
    )


def empty_plot(
    kit: Kit,
    x_range: Any,  # noqa: ANN401 - bokeh's types
    *,
    unit: str = "number",
    x_log: bool = False,
    plain: bool = False,
) -> Any:  # noqa: ANN401
    """Make a plot without lines.

    Args:
        kit: What the charts of a page share.
        x_range: A range of bokeh's, or a pair of numbers.
        unit: Of the vertical axis, a key of `Kit.ticks`; `latency` makes it logarithmic.
        x_log: Whether the horizontal axis is logarithmic.
        plain: Whether it has only the tools to zoom in and back out, to be light where there are many.
    """
    log = unit == "latency"
    box = BoxZoomTool(dimensions="width")
    more = () if plain else (PanTool(dimensions="width"), WheelZoomTool(dimensions="width"), SaveTool())
    plot: Any = figure(
        height=_HEIGHT,
        sizing_mode="stretch_width",
        x_range=x_range,
        x_axis_type="log" if x_log else "linear",
        y_axis_type="log" if log else "linear",
        tools=[box, ResetTool(), *more],
        active_drag=box,
        active_scroll=None,  # a page that scrolls must not zoom under the reader's finger
        toolbar_location="right",
        toolbar_inner=True,
        min_border_left=58,
        min_border_right=14,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.toolbar.stylesheets = [_TOOLBAR_CSS]
    plot.stylesheets = [_TOOLTIP_CSS]
    plot.outline_line_color = None
    plot.xgrid.grid_line_color = None
    plot.yaxis.formatter = kit.ticks[unit]
    plot.yaxis.major_label_policy = kit.no_overlap
    if log:
        plot.yaxis.ticker = LogTicker(mantissas=[1, 2, 5], num_minor_ticks=0)
        plot.ygrid.ticker = plot.yaxis[0].ticker
    else:
        plot.y_range.start = 0
    return plot


def add_line(  # noqa: PLR0917 - where, what, from what
    plot: Any,  # noqa: ANN401 - bokeh's types
    kit: Kit,
    chart: str,
    line: Line,
    source: ColumnDataSource,
    x: str,
) -> Any:  # noqa: ANN401
    """Draw one column against `x`; gaps stay gaps, and a sample between two gaps is a dot.

    Args:
        plot: Where.
        kit: What the charts of a page share.
        chart: The chart's key.
        line: What.
        source: Has the line's column and `x`.
        x: Name of the column of the horizontal axis.
    """
    colour = LIGHT[line.colour]
    if _has_lone_samples(source.data[line.column]):
        tags = [f"fill:{line.colour}"]
        dots = Scatter(x=x, y=line.column, size=6, fill_color=colour, line_color=None, tags=tags)
        kit.add(plot, source, dots, name=f"{line.tag(chart)}#")
    glyph = LineGlyph(
        x=x,
        y=line.column,
        line_color=colour,
        line_dash=line.dash,
        line_width=line.width,
        line_join="round",
        tags=[f"colour:{line.colour}"],
    )
    return kit.add(plot, source, glyph, name=line.tag(chart))


def add_rising_steps(plot: Any, kit: Kit, chart: str, line: Line, source: ColumnDataSource, y: str) -> None:  # noqa: ANN401, PLR0917 - as `add_line`
    """Draw `y` against one column, where each value of `y` holds until the column's next one."""
    glyph = Step(
        x=line.column,
        y=y,
        mode="after",
        line_color=LIGHT[line.colour],
        line_dash=line.dash,
        line_width=line.width,
        tags=[f"colour:{line.colour}"],
    )
    kit.add(plot, source, glyph, name=line.tag(chart))


def _has_lone_samples(values: Any) -> bool:  # noqa: ANN401 - an array
    """Whether a line through these would leave a sample unseen."""
    known = np.isfinite(np.asarray(values, "float64"))
    beside = np.zeros(len(known) + 2, bool)
    beside[1:-1] = known
    return bool((known & ~beside[:-2] & ~beside[2:]).any())


def add_band(plot: Any, kit: Kit, chart: str, line: Line, source: ColumnDataSource) -> None:  # noqa: ANN401
    """Fill what lies between the extremes of each point (`COLUMN_low`, `COLUMN_high`) of a line over time."""
    glyph = VArea(
        x="time",
        y1=f"{line.column}_low",
        y2=f"{line.column}_high",
        fill_color=LIGHT[line.colour],
        fill_alpha=0.22,
        tags=[f"fill:{line.colour}"],
    )
    kit.add(plot, source, glyph, name=f"{line.tag(chart)}#")


def add_hover(  # noqa: PLR0917 - as `add_line`
    plot: Any,  # noqa: ANN401 - bokeh's types
    kit: Kit,
    renderer: Any,  # noqa: ANN401
    tips: Sequence[tuple[str, str]],
    units: Mapping[str, str],
    mode: Literal["vline", "hline"] = "vline",
) -> None:
    """Show figures under the pointer.

    Args:
        plot: Where.
        kit: What the charts of a page share.
        renderer: The line that the pointer is looked up on.
        tips: Name and bokeh pattern of each figure.
        units: Column → unit, a key of `Kit.hovers`, of those whose pattern says `custom`.
        mode: `vline`: what is above and below the pointer; `hline`: what is beside it.
    """
    plot.add_tools(
        HoverTool(
            renderers=[renderer],
            mode=mode,
            tooltips=list(tips),
            point_policy="snap_to_data",
            formatters={f"@{{{column}}}": kit.hovers[unit] for column, unit in units.items()},
        )
    )


def anchor(plot: Any, kit: Kit, source: ColumnDataSource, x: str, y: str) -> Any:  # noqa: ANN401 - bokeh's types
    """Add an unseen line for the pointer, so that hiding a line leaves the figures."""
    glyph = LineGlyph(x=x, y=y, line_alpha=0)
    return kit.add(plot, source, glyph)


def shade(plot: Any, kit: Kit, source: ColumnDataSource, colour: str, alpha: float) -> None:  # noqa: ANN401
    """Shade spans of time (`start`, `end`) over the whole height."""
    glyph = VStrip(
        x0="start",
        x1="end",
        fill_color=LIGHT[colour],
        fill_alpha=alpha,
        line_color=None,
        tags=[f"fill:{colour}"],
    )
    kit.add(plot, source, glyph, level="underlay")


def upright(  # noqa: PLR0917 - as `add_line`
    plot: Any,  # noqa: ANN401 - bokeh's types
    kit: Kit,
    source: ColumnDataSource,
    column: str,
    colour: str,
    dash: str,
) -> None:
    """Draw a line over the whole height at each moment of a column."""
    glyph = VSpan(
        x=column, line_color=LIGHT[colour], line_dash=dash, line_width=1.4, tags=[f"colour:{colour}"]
    )
    kit.add(plot, source, glyph, level="underlay")


def names_above(plot: Any, kit: Kit, names: Mapping[float, Any]) -> None:  # noqa: ANN401 - bokeh's types
    """Write names above a plot over time, each where it belongs, as far as there is room.

    Args:
        plot: A plot over time.
        kit: What the charts of a page share.
        names: Where, in seconds, and what, as `as_names` gives it.
    """
    labels: dict[float | str, Any] = dict(names.items())
    axis: Any = LinearAxis(
        major_label_overrides=labels,
        major_label_policy=kit.no_overlap,
        axis_line_color=None,
        major_tick_line_color=None,
        minor_tick_line_color=None,
        major_label_standoff=0,
        major_tick_in=0,
        major_tick_out=0,
    )
    axis.ticker = FixedTicker(ticks=list(names))
    plot.add_layout(axis, "above")


def as_names(names: Iterable[tuple[float, str]]) -> dict[float, Any]:
    """Make what `names_above` writes, to be shared by many plots; names are cut at 20 characters."""
    # PlainText, because bokeh would read `$$` in a name as TeX.
    return {float(at): PlainText(text=name if len(name) <= 20 else f"{name[:19]}…") for at, name in names}
