"""A comparison as one HTML page that opens offline: the findings first, charts that zoom, nothing fetched.

This module needs bokeh and jinja2, which are slow to import; load it when a page is due.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadgen.compare import text
from loadgen.compare.charts import draw
from loadgen.compare.model import Finding
from loadgen.report import figures
from loadgen.report.plots import DARK, DASHES, LIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.compare.model import Comparison, Row

_TONES = {
    Finding.REGRESSION: "fail",
    Finding.IMPROVEMENT: "pass",
    Finding.SAME: "pass",
    Finding.UNCLEAR: "invalid",
    Finding.SHOWN: "none",
}
_MOST_SHOWN = 0.5
"""A change of this portion stands at the edge of the little picture of an interval."""


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page; it is complete or not there.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(render(comparison), encoding="utf-8")
    draft.replace(path)


def render(comparison: Comparison) -> str:
    """Give a comparison as one HTML page."""
    charts = draw(comparison)
    script, divs = components({chart.key: chart.plot for chart in charts}) if charts else ("", {})
    bokeh = Resources("inline", components=["bokeh"], log_level="warn").js_raw if charts else []
    environment = Environment(
        # A report's macros draw these charts, too.
        loader=ChoiceLoader([PackageLoader("loadgen.compare"), PackageLoader("loadgen.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=figures.seconds, count=figures.count)
    # Every value is escaped by jinja2; only bokeh's own code and our own files go in as they are.
    return environment.get_template("compare.html.j2").render(
        comparison=comparison,
        verdict=text.verdict(comparison),
        outcome=text.outcome(comparison),
        how=text.how(comparison),
        columns=text.COLUMNS,
        rows=[
            (row, text.cells(row), _TONES[row.finding], text.MARKS[row.finding], bar(row))
            for row in comparison.rows
        ],
        charts=[(chart, _ours(divs[chart.key])) for chart in charts],
        chart_script=_ours(script),
        bokeh_js=[_ours(code) for code in bokeh],
        style=_ours(_report_file("report.css")),
        own_style=_ours(_own_file("compare.css")),
        page_script=_ours(_report_file("report.js.j2")),
        dashes=DASHES,
        palettes={"light": LIGHT, "dark": DARK},
        clock=figures.clock,
    )


def bar(row: Row) -> dict[str, float] | None:
    """Where an interval stands between -50 % and +50 %, from 0 to 100; None where there is none."""
    if row.low is None or row.high is None or row.change is None:
        return None
    limit = min(row.limit or 0.0, _MOST_SHOWN)
    return {
        "from": _place(row.low),
        "to": _place(row.high),
        "at": _place(row.change),
        "lower": _place(-limit),
        "upper": _place(limit),
    }


def _place(change: float) -> float:
    return round(50 + 50 * min(max(change / _MOST_SHOWN, -1.0), 1.0), 1)


def _report_file(name: str) -> str:
    return resources.files("loadgen.report").joinpath("templates", name).read_text(encoding="utf-8")


def _own_file(name: str) -> str:
    return resources.files("loadgen.compare").joinpath("templates", name).read_text(encoding="utf-8")


def _ours(code: str) -> Markup:
    """Let text go into the page unescaped: only bokeh's code and our own files, never what a run says."""
    return Markup(code)  # noqa: S704 - see above
