"""A run as one HTML page that opens offline: verdict first, charts that zoom, nothing fetched.

This module needs bokeh and jinja2, which are slow to import; `loadgen.report.html` loads it when one is due.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from loadgen.report import charts, figures
from loadgen.report.advice import advice, saturated
from loadgen.report.broker_series import broker_series
from loadgen.report.certificate_steps import COLUMNS as STEP_COLUMNS
from loadgen.report.certificate_steps import step_lines
from loadgen.report.codes import code_lines
from loadgen.report.drift import drift_lines, judged_time
from loadgen.report.environment import environment_facts
from loadgen.report.expectations import expectation_lines
from loadgen.report.fault_charts import fault_charts
from loadgen.report.fault_curves import fault_curves, seconds_shown
from loadgen.report.fault_details import FaultDetail, fault_details
from loadgen.report.fault_story import fault_story
from loadgen.report.faults import HEADINGS, FaultRow, fault_rows
from loadgen.report.headline import headline, health
from loadgen.report.ledger import COLUMNS, ledger_notes, ledger_rows, worst_pairs
from loadgen.report.plots import DARK, DASHES, LIGHT, Kit
from loadgen.report.series import RunSeries, read_series
from loadgen.report.story import scenario_sentence
from loadgen.report.text import PERCENTILES
from loadgen.report.thresholds import threshold_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.report.chart import Chart
    from loadgen.report.source import RunSource

_BACKTICKS = re.compile("`([^`]*)`")
_CONNECTING = frozenset(
    {
        "tcp_connect",
        "tls_handshake",
        "mqtt_connect",
        "connect_time",
        "subscribe_time",
        "detect_time",
        "reconnect_time",
        "planned_reconnect_time",
        "recovery_time",
    }
)
"""Metrics of connections; the others are of messages and of the generator."""


@dataclass(frozen=True, slots=True)
class Fault:
    """All that the page has of one fault, beside its charts."""

    place: int
    """Index in the result."""
    row: FaultRow
    detail: FaultDetail
    story: list[tuple[str, str]]


def render(run: RunSource) -> str:
    """Give the report of a run as one HTML page."""
    result = run.result
    kit = Kit()
    series = read_series(run.intervals(), result.get("stages") or [], run.plan, span=run.span)
    said = broker_series(run.broker_samples(), run.origin_ns)
    drawn = charts.draw(series, result, kit, said)
    faults = result.get("faults") or []
    drawn += fault_charts(result, fault_curves(run.intervals(seconds_shown(faults)), faults), kit)
    script, divs = _embedded(drawn)
    scenario = run.path / "scenario.yaml"
    metrics = result.get("metrics") or {}
    connecting = {name: metric for name, metric in metrics.items() if name in _CONNECTING}
    # Every value below is escaped by jinja2; only bokeh's own code and our own style go in as they are.
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            sections=_sections(
                result,
                connecting=any(each.get("count") for each in connecting.values()) or bool(series.phases),
            ),
            sentence=scenario_sentence(result, run.plan),
            charts=[(chart, _ours(divs[chart.key])) for chart in drawn],
            chart_script=_ours(script),
            bokeh_js=[
                _ours(code) for code in Resources("inline", components=["bokeh"], log_level="warn").js_raw
            ]
            if drawn
            else [],
            style=_ours(_read("report.css")),
            page_script=_ours(_read("report.js.j2")),
            dashes=DASHES,
            palettes={"light": LIGHT, "dark": DARK},
            scenario_text=scenario.read_text(encoding="utf-8", errors="replace")
            if scenario.is_file()
            else "",
            tiles=headline(result),
            thresholds=threshold_lines(result),
            expectations=expectation_lines(result),
            drift=drift_lines(result),
            drift_time=judged_time(result),
            advice=advice(result),
            health=health(result),
            saturated=saturated(result),
            ledger_columns=COLUMNS,
            ledger=ledger_rows(result["ledger"]) if result.get("ledger") else [],
            ledger_notes=ledger_notes(result.get("ledger") or {}),
            worst=worst_pairs(result.get("ledger") or {}),
            fault_headings=HEADINGS,
            faults=_faults(result),
            codes=code_lines(result.get("codes") or {}),
            percentiles=PERCENTILES,
            latencies={name: metric for name, metric in metrics.items() if name not in _CONNECTING},
            connecting=connecting,
            stages=stage_rows(result, series),
            step_columns=STEP_COLUMNS,
            steps=step_lines(result),
            environment=environment_facts(result),
            broker_said=said,
        )
    )


def _embedded(drawn: Sequence[Chart]) -> tuple[str, dict[str, str]]:
    """Give the script that draws all charts, and by chart the place where it does so."""
    if not drawn:
        return "", {}
    document = Document()
    # Frozen, or each plot that is added would make bokeh look through all of them again.
    with document.models.freeze():
        for chart in drawn:
            document.add_root(chart.plot)
    script, places = components({chart.key: chart.plot for chart in drawn})
    return script, places


def _faults(result: Mapping[str, Any]) -> list[Fault]:
    connected = (result.get("totals") or {}).get("connected")
    parts = zip(result.get("faults") or [], fault_rows(result), fault_details(result), strict=True)
    return [
        Fault(place, row, detail, fault_story(fault, connected))
        for place, (fault, row, detail) in enumerate(parts)
    ]


def _sections(result: Mapping[str, Any], *, connecting: bool) -> list[tuple[str, str]]:
    """Give the sections that the page has: anchor and title."""
    return [
        (anchor, title)
        for anchor, title, there in (
            ("thresholds", "Thresholds", True),
            ("expectations", "Answers", result.get("expectations")),
            ("drift", "Drift", result.get("drift")),
            ("faults", "Faults", result.get("faults")),
            ("charts", "Over time", True),
            ("latency", "Latency", True),
            ("connecting", "Connecting", connecting),
            ("ledger", "Ledger", True),
            ("codes", "Codes", True),
            ("stages", "Stages", True),
            ("certificates", "Certificates", result.get("certificate_steps")),
            ("generator", "Generator", True),
            ("broker", "Broker", True),
            ("scenario", "Scenario", True),
        )
        if there
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
                "delivered": rate("received"),
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
