"""How a chart is drawn with bokeh: quiet axes, lines told apart by dash as well as colour, tools for zooming.

Colours of text, grid and background come from the page's CSS variables (`--bk-…`). A line's colour cannot, so
each line is named and tagged, and the page's script gives it the colour of the theme in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.models.axes import LinearAxis
from bokeh.models.formatters import CustomJSTickFormatter
from bokeh.models.labeling import NoOverlap
from bokeh.models.text import PlainText
from bokeh.models.tickers import FixedTicker
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
    from collections.abc import Iterable, Sequence

    from bokeh.models.sources import ColumnDataSource

LIGHT = {"blue": "#0072B2", "orange": "#D55E00", "green": "#008F68", "pink": "#B0508A", "grey": "#767C85"}
"""Okabe and Ito's colours, told apart by colour-blind readers, a little darker where white needs it."""
DARK = {"blue": "#5CB8EE", "orange": "#F0A23B", "green": "#35CBA0", "pink": "#E3A0CA", "grey": "#8B929C"}
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


def empty_plot(x_range: Any, *, log: bool = False, x_log: bool = False) -> Any:  # noqa: ANN401 - bokeh's types
    """Make a plot without lines; `log` gives a logarithmic latency axis."""
    box = BoxZoomTool(dimensions="width")
    plot = figure(
        height=_HEIGHT,
        sizing_mode="stretch_width",
        x_range=x_range,
        x_axis_type="log" if x_log else "linear",
        y_axis_type="log" if log else "linear",
        tools=[box, PanTool(dimensions="width"), WheelZoomTool(dimensions="width"), ResetTool(), SaveTool()],
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
    if log:
        plot.yaxis.formatter = CustomJSTickFormatter(code=_LATENCY_JS)
    return plot


def time_axis(plot: Any) -> None:  # noqa: ANN401 - bokeh's types
    """Write the horizontal axis as elapsed time."""
    plot.xaxis.formatter = CustomJSTickFormatter(code=_CLOCK_JS)


def add_line(plot: Any, chart: str, line: Line, source: ColumnDataSource, x: str) -> Any:  # noqa: ANN401
    """Draw one column against `x`; gaps stay gaps."""
    return plot.line(
        x,
        line.column,
        source=source,
        line_color=LIGHT[line.colour],
        line_dash=line.dash,
        line_width=line.width,
        line_join="round",
        name=line.tag(chart),
        tags=[f"colour:{line.colour}"],
    )


def add_hover(plot: Any, renderer: Any, tips: Sequence[tuple[str, str]], latencies: Iterable[str]) -> None:  # noqa: ANN401
    """Show figures under the pointer.

    Args:
        plot: Where.
        renderer: The line that the pointer is looked up on.
        tips: Name and bokeh pattern of each figure.
        latencies: Columns whose patterns are `LATENCY_HOVER`.
    """
    code = _LATENCY_JS.replace("tick", "value")
    formatter = CustomJSHover(code=f"if (isNaN(value)) return 'no sample'\n{code}")
    plot.add_tools(
        HoverTool(
            renderers=[renderer],
            mode="vline",
            tooltips=list(tips),
            point_policy="snap_to_data",
            formatters={f"@{{{column}}}": formatter for column in latencies},
        )
    )


def shade_windows(plot: Any, windows: Sequence[tuple[float, float]]) -> None:  # noqa: ANN401 - bokeh's types
    """Shade the window of each fault, with a line where it began.

    Args:
        plot: A plot over time.
        windows: Start and end of each, in seconds.
    """
    for start, end in windows:
        plot.add_layout(
            BoxAnnotation(
                left=start, right=end, fill_color="#D55E00", fill_alpha=0.13, line_color=None, level="image"
            )
        )
        plot.add_layout(
            Span(location=start, dimension="height", line_color="#D55E00", line_alpha=0.7, line_width=1.2)
        )


def shade_stages(plot: Any, stages: Sequence[tuple[str, float, float]]) -> None:  # noqa: ANN401 - bokeh's types
    """Shade every other stage and write each one's name above, where there is room.

    Args:
        plot: A plot over time.
        stages: Name, start and end of each, in seconds.
    """
    for _, start, end in stages[1::2]:
        plot.add_layout(
            BoxAnnotation(
                left=start, right=end, fill_color="#8A93A0", fill_alpha=0.1, line_color=None, level="image"
            )
        )
    middles = [(start + end) / 2 for _, start, end in stages]
    names = [name if len(name) <= 20 else f"{name[:19]}…" for name, _, _ in stages]
    # PlainText, because bokeh would read `$$` in a name as TeX.
    labels: dict[float | str, Any] = {
        middle: PlainText(text=name) for middle, name in zip(middles, names, strict=True)
    }
    axis: Any = LinearAxis(
        major_label_overrides=labels,
        major_label_policy=NoOverlap(min_distance=6),
        axis_line_color=None,
        major_tick_line_color=None,
        minor_tick_line_color=None,
        major_label_standoff=0,
        major_tick_in=0,
        major_tick_out=0,
    )
    axis.ticker = FixedTicker(ticks=middles)
    plot.add_layout(axis, "above")
