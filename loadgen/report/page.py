"""A run as one HTML page that opens offline: verdict first, charts that zoom, nothing fetched.

This module needs bokeh and jinja2, which are slow to import; `loadgen.report.html` loads it when one is due.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from loadgen.report import charts, figures
from loadgen.report.advice import advice, saturated
from loadgen.report.certificate_steps import COLUMNS as STEP_COLUMNS
from loadgen.report.certificate_steps import step_lines
from loadgen.report.codes import code_lines
from loadgen.report.expectations import expectation_lines
from loadgen.report.fault_charts import fault_charts
from loadgen.report.fault_curves import fault_curves
from loadgen.report.fault_details import fault_details
from loadgen.report.faults import HEADINGS, fault_rows
from loadgen.report.ledger import COLUMNS, ledger_notes, ledger_rows, worst_pairs
from loadgen.report.plots import DARK, LIGHT
from loadgen.report.series import RunSeries, read_series
from loadgen.report.text import PERCENTILES
from loadgen.report.thresholds import threshold_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.report.source import RunSource

_BACKTICKS = re.compile("`([^`]*)`")


def render(run: RunSource) -> str:
    """Give the report of a run as one HTML page."""
    result = run.result
    timeline = list(run.timeline())
    series = read_series(timeline, result.get("stages") or [])
    drawn = charts.draw(series, result)
    drawn += fault_charts(result, fault_curves(timeline, result.get("faults") or []))
    script, divs = components({chart.key: chart.plot for chart in drawn}) if drawn else ("", {})
    scenario = run.path / "scenario.yaml"
    # Every value below is escaped by jinja2; only bokeh's own code and our own style go in as they are.
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            charts=[(chart, _ours(divs[chart.key])) for chart in drawn],
            chart_script=_ours(script),
            bokeh_js=[
                _ours(code) for code in Resources("inline", components=["bokeh"], log_level="warn").js_raw
            ]
            if drawn
            else [],
            style=_ours(_read("report.css")),
            page_script=_ours(_read("report.js.j2")),
            palettes={"light": LIGHT, "dark": DARK},
            scenario_text=scenario.read_text(encoding="utf-8", errors="replace")
            if scenario.is_file()
            else "",
            tiles=headline(result),
            thresholds=threshold_lines(result),
            expectations=expectation_lines(result),
            advice=advice(result),
            saturated=saturated(result),
            ledger_columns=COLUMNS,
            ledger=ledger_rows(result["ledger"]) if result.get("ledger") else [],
            ledger_notes=ledger_notes(result.get("ledger") or {}),
            worst=worst_pairs(result.get("ledger") or {}),
            fault_headings=HEADINGS,
            faults=list(zip(fault_rows(result), fault_details(result), strict=True)),
            codes=code_lines(result.get("codes") or {}),
            percentiles=PERCENTILES,
            stages=stage_rows(result, series),
            step_columns=STEP_COLUMNS,
            steps=step_lines(result),
        )
    )


def headline(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Give the figures a reader looks for first: name, value, note, tone (`bad` or empty)."""
    totals, ledger, metrics = (result.get(key) or {} for key in ("totals", "ledger", "metrics"))
    publish, delivery = metrics.get("publish_latency") or {}, metrics.get("delivery_latency") or {}
    clients, connected = totals.get("clients"), totals.get("connected")
    lost = ledger.get("lost")
    return [
        (
            "clients connected",
            figures.count(connected),
            f"of {figures.count(clients)}",
            "bad" if (connected or 0) + (totals.get("refused") or 0) < (clients or 0) else "",
        ),
        (
            "published",
            figures.count(totals.get("published")),
            f"{figures.count(totals.get('acknowledged'))} acknowledged",
            "",
        ),
        (
            "delivered",
            figures.count(totals.get("delivered")),
            f"of {figures.count(totals.get('expected_deliveries'))} expected",
            "",
        ),
        ("lost", figures.count(lost), "of those acknowledged", "bad" if lost else ""),
        (
            "publish p99",
            figures.seconds(publish.get("p99")),
            f"p50 {figures.seconds(publish.get('p50'))}",
            "",
        ),
        (
            "delivery p99",
            figures.seconds(delivery.get("p99")),
            f"p50 {figures.seconds(delivery.get('p50'))}",
            "",
        ),
    ]


def stage_rows(result: Mapping[str, Any], series: RunSeries) -> list[dict[str, str]]:
    """Give each stage with what happened in it, summed from its seconds."""
    rows = []
    for stage in result.get("stages") or []:
        total = series.stages.get(str(stage.get("name")))
        duration = stage.get("duration")

        def rate(name: str, total: Any = total) -> str:  # noqa: ANN401 - a Bin or None
            return (
                figures.rate(total.counters.get(name, 0) / total.seconds)
                if total and total.seconds
                else figures.NOTHING
            )

        def tail(name: str, total: Any = total) -> str:  # noqa: ANN401 - a Bin or None
            found = total.histograms.get(name) if total else None
            return figures.seconds(found.percentile(99.0) / 1e9) if found and found.count else figures.NOTHING

        rows.append(
            {
                "name": str(stage.get("name") or ""),
                "kind": str(stage.get("kind") or ""),
                "recorded": "no" if stage.get("record") is False else "yes",
                "start": figures.clock(stage.get("started_at_s")),
                "duration": figures.seconds(duration),
                "published": rate("published"),
                "acknowledged": rate("acknowledged"),
                "delivered": rate("delivered"),
                "publish_p99": tail("publish_latency"),
                "delivery_p99": tail("delivery_latency"),
            }
        )
    return rows


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("loadgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=figures.seconds,
        count=figures.count,
        size=figures.size,
        percent=figures.percent,
        clock=figures.clock,
        ticks=_ticks,
        instant=_instant,
    )
    return environment


def _read(name: str) -> str:
    return resources.files("loadgen.report").joinpath("templates", name).read_text(encoding="utf-8")


def _ticks(text: str) -> Markup:
    """Show what stands between backticks as code; everything is escaped first."""
    return _ours(_BACKTICKS.sub(r"<code>\1</code>", str(escape(text))))


def _instant(text: str) -> str:
    """Show an ISO 8601 instant in UTC as people write it."""
    return text.replace("T", " ", 1).removesuffix("Z").removesuffix("+00:00").partition(".")[0] + " UTC"


def _ours(text: str) -> Markup:
    """Let text go into the page unescaped: only bokeh's code and our own files, never what a run says."""
    return Markup(text)  # noqa: S704 - see above
