"""How a chart in a file is drawn with matplotlib: fit for a slide and a paper, told apart without colour.

matplotlib is an extra (`loadgen[charts]`) and slow to import: `loadgen.report.chart_files` loads this module
when a chart is due. No window and no pyplot: a figure is made, drawn and saved.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from loadgen.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#008F68",
    "pink": "#B0508A",
    "grey": "#6B727B",
    "sky": "#2E9FDB",
    "ink": "#1B1F24",
}
"""Okabe and Ito's colours, told apart by colour-blind readers, a little darker for white paper."""
STYLES: tuple[tuple[str, Any], ...] = (
    ("blue", "-"),
    ("orange", (0, (5, 2))),
    ("green", (0, (1, 1.4))),
    ("pink", (0, (5, 2, 1, 2))),
    ("sky", "-"),
    ("grey", (0, (3, 1, 1, 1, 1, 1))),
)
"""Colour and dash of the lines of a chart, in order: a black and white print keeps them apart."""

_SIZE = (10.0, 5.625)
"""Inches: 16 to 9."""
_DPI = 192
"""1920 by 1080 pixels."""
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 14,
    "axes.edgecolor": COLOURS["grey"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.labelsize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#D9DDE2",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.2,
    "lines.solid_joinstyle": "round",
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "legend.frameon": False,
    "legend.fontsize": 13,
    "legend.handlelength": 2.6,
    "svg.fonttype": "none",  # text stays text: small files, and a paper's own font
    "svg.hashsalt": "loadgen",  # the same run gives the same file
    "text.parse_math": False,  # a name with a dollar sign is no formula
}
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds between the marks of a time axis."""
_MOST_MARKS = 9
_FEW_SAMPLES = 30
"""Points up to which a line shows each of them."""
_MANY_SAMPLES = 200
"""Points from which on a line is thinner, so that its dashes are still seen."""
_ROOM = 0.09
"""Part of the width that a label needs."""
Window = tuple[str, float, float]
"""Name, start and end, seconds since the start of the run."""


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """Draw as the charts here are drawn; a name in a script that the font lacks is no reason to complain."""
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_chart(title: str, subtitle: str, *, doubtful: bool = False) -> tuple[Figure, Axes]:
    """Make a chart with a title; the subtitle of a run that proves nothing stands out."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    figure.get_layout_engine().set(rect=(0.005, 0.01, 0.985, 0.805))  # type: ignore[union-attr, call-arg]
    figure.text(0.015, 0.975, title, fontsize=20, fontweight="bold", va="top", color=COLOURS["ink"])
    colour = COLOURS["orange"] if doubtful else COLOURS["grey"]
    weight = "bold" if doubtful else "normal"
    figure.text(0.015, 0.905, subtitle, fontsize=12, va="top", color=colour, fontweight=weight)
    return figure, figure.subplots()


def save(figure: Figure, path: Path) -> Path:
    """Write a chart in the form that the file's suffix says."""
    made_by = {"Date": None, "Creator": "loadgen"} if path.suffix == ".svg" else {"Software": "loadgen"}
    figure.savefig(path, metadata=made_by, facecolor="white")
    return path


def line(axes: Axes, xs: Sequence[float], ys: Sequence[float], name: str, style: int, **more: Any) -> None:  # noqa: ANN401 - matplotlib's
    """Draw a line; where it is short each point is seen, and a gap stays a gap."""
    colour, dash = STYLES[style % len(STYLES)]
    few = len(xs) <= _FEW_SAMPLES
    if len(xs) > _MANY_SAMPLES:
        more["linewidth"] = 0.6 * more.get("linewidth", _SETTINGS["lines.linewidth"])
    axes.plot(
        xs,
        ys,
        label=name,
        color=COLOURS[colour],
        linestyle=dash,
        marker="o" if few else None,
        markersize=5,
        **more,
    )


def legend(axes: Axes) -> None:
    """Name the lines between the title and the plot, where they hide nothing."""
    handles, names = axes.get_legend_handles_labels()
    figure = axes.get_figure(root=True)
    assert figure is not None
    drawn = figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0.008, 0.872),
        ncols=max(len(names), 1),
        borderaxespad=0,
        columnspacing=1.5,
        handletextpad=0.6,
    )
    drawn.set_in_layout(False)


def time_axis(axes: Axes, end: float) -> None:
    """Make the horizontal axis elapsed time from 0 to `end` seconds."""
    axes.set_xlim(0, end)
    step = next((step for step in _STEPS if end / step <= _MOST_MARKS), _STEPS[-1])
    axes.xaxis.set_major_locator(FixedLocator([step * k for k in range(int(end / step) + 1)]))
    whole_minutes = step % 60 == 0
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: _minutes(value) if whole_minutes else figures.clock(value))
    )
    axes.set_xlabel("time since the start of the run")


def _minutes(seconds: float) -> str:
    """Give whole minutes as `0`, `10m` or `1h 30m`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours}h"] * bool(hours) + [f"{minutes}m"] * bool(minutes)
    return " ".join(parts) or "0"


def latency_axis(axis: Any, name: str) -> None:  # noqa: ANN401 - matplotlib's XAxis or YAxis
    """Make an axis of durations logarithmic, with marks as people say them."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
    low, high = axis.get_view_interval()
    if axis.axis_name == "y":
        high *= (high / low) ** 0.1  # room for the names of faults
        axis.axes.set_ylim(low, high)
    if high / low > 300:
        axis.set_major_locator(LogLocator(base=10, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(name)


def _short(seconds: float) -> str:
    """Give a duration of an axis as `200 µs`, `5 ms` or `1 s`."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit * 0.9999:
            return f"{seconds * factor:g} {unit}"
    return f"{seconds:g} s"


def count_axis(axes: Axes, name: str) -> None:
    """Make the vertical axis begin at zero, with whole numbers of three digits and commas."""
    axes.set_ylim(0, max(axes.get_ylim()[1], 1) * 1.1)  # room for the names of faults
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel(name)


def shade_faults(axes: Axes, windows: Sequence[Window]) -> None:
    """Shade the window of each fault, with a line where it began and its name where there is room."""
    span = axes.get_xlim()[1] or 1.0
    free = 0.0
    for name, start, end in windows:
        axes.axvspan(start, end, color=COLOURS["orange"], alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(start, color=COLOURS["orange"], linewidth=1.3, zorder=1)
        if start >= free:
            _label(axes, start + span * 0.004, name)
            free = start + span * max(_ROOM, 0.0105 * len(name))


def mark_stages(axes: Axes, stages: Sequence[Window]) -> None:
    """Write each stage's name above the plot, between thin lines."""
    span = axes.get_xlim()[1] or 1.0
    for place, (name, start, end) in enumerate(stages):
        if place:
            axes.axvline(start, color="#B9BFC7", linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        if (end - start) / span >= 0.0115 * len(name):
            axes.annotate(
                name,
                ((start + end) / 2, 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=11.5,
                color=COLOURS["grey"],
            )


def _label(axes: Axes, x: float, words: str) -> None:
    axes.text(
        x,
        0.985,
        words,
        transform=axes.get_xaxis_transform(),
        va="top",
        fontsize=12,
        color=COLOURS["orange"],
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.2},
    )
