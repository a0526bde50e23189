"""Draws the report's charts for the live page; bokeh and jinja2 are loaded when somebody looks."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined

from loadgen.report import charts
from loadgen.report.plots import DARK, DASHES, LIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.report.series import RunSeries


def draw(series: RunSeries, result: Mapping[str, Any]) -> tuple[str, str]:
    """Draw every chart there is data for.

    Returns:
        The HTML of the charts' places with their words, and the script that draws into them.
    """
    drawn = charts.draw(series, result)
    if not drawn:
        return "", ""
    script, divs = components({chart.key: chart.plot for chart in drawn}, wrap_script=False)
    figures = [
        {
            "key": chart.key,
            "title": chart.title,
            "note": chart.note,
            "lines": [
                (line.tag(chart.key), line.name, line.colour, DASHES[line.dash]) for line in chart.lines
            ],
            "place": divs[chart.key],
        }
        for chart in drawn
    ]
    return _environment().get_template("charts.html.j2").render(figures=figures), script


def page(*, scenario: str, description: str) -> str:
    """Give the page without its charts."""
    template = _environment().get_template("live.html.j2")
    palettes = {"light": LIGHT, "dark": DARK}
    return template.render(scenario=scenario, description=description, palettes=palettes)


def style() -> str:
    """The report's style sheet, and what the live page has beside it."""
    return _read("loadgen.report", "report.css") + _read("loadgen.live.page", "live.css")


def script() -> str:
    """The page's own script."""
    return _read("loadgen.live.page", "live.js")


@functools.cache
def bokeh_script() -> str:
    """BokehJS, out of the installed package."""
    return "\n".join(Resources("inline", components=["bokeh"], log_level="warn").js_raw)


def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("loadgen.live.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
