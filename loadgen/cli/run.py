"""`loadgen run`: from a scenario file to a verdict."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadgen.cli.options import (
    Format,
    OutputFormat,
    Overrides,
    RunsFolder,
    ScenarioFile,
    TargetOption,
    Workers,
    colors,
    progress,
    reader_may_leave,
    say,
)
from loadgen.cli.step_summary import add_to_step_summary
from loadgen.cli.watch import Watch, WatchOptions
from loadgen.cli.watch_options import (
    LOCALHOST,
    Otel,
    PrometheusHost,
    PrometheusLinger,
    PrometheusPort,
    View,
    ViewOption,
    WebHost,
    WebPort,
    seconds_of,
)
from loadgen.engine.driver import AIOMQTT, NATIVE, run_with
from loadgen.live.view import Form
from loadgen.report import html, json, text
from loadgen.run import Outcome, RunOptions, prepare, read_scenario, run_scenario
from loadgen.store import open_run

if TYPE_CHECKING:
    from loadgen.live.view import LiveView


class ClientLibrary(enum.StrEnum):
    """What makes the connections."""

    NATIVE = NATIVE
    AIOMQTT = AIOMQTT


def run(
    scenario: ScenarioFile,
    *,
    overrides: Overrides = None,
    target: TargetOption = None,
    workers: Workers = None,
    client: Annotated[
        ClientLibrary,
        typer.Option(
            "--client",
            help="Which library makes the connections: loadgen's own, or aiomqtt, to see what a device on it "
            "would see (pip install 'loadgen[aiomqtt]'; costs much more for each client and message).",
        ),
    ] = ClientLibrary.NATIVE,
    runs: RunsFolder = Path("runs"),
    output_format: OutputFormat = Format.TEXT,
    view: ViewOption = View.AUTO,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report",
            help="Write report.html at the end: two seconds of CPU time. `loadgen report` writes it later.",
        ),
    ] = True,
    prometheus_port: PrometheusPort = None,
    prometheus_host: PrometheusHost = LOCALHOST,
    prometheus_linger: PrometheusLinger = "15s",
    otel: Otel = False,
    web: WebPort = None,
    web_host: WebHost = LOCALHOST,
) -> int:
    """Run SCENARIO and judge it: connect its clients, let them publish and subscribe, check every message.

    Everything is checked before the first client connects: the file, the certificates, this machine's limits,
    and one connection to each node. Ctrl-C stops the run and reports what there is; twice stops it at once.

    The summary goes to stdout and ends with the path of the report, with --no-report of the run's folder;
    progress goes to stderr.

    Exit codes: 0 pass · 98 invalid, the run proves nothing · 99 a threshold or a promise was broken · 104 bad
    scenario or configuration · 105 interrupted · 106 target unreachable · 107 internal error.
    """
    options = RunOptions(scenario, overrides or (), target, workers, runs, client.value)
    watching = WatchOptions(
        Form(view.value),
        prometheus_port,
        prometheus_host,
        seconds_of("--prometheus-linger", prometheus_linger),
        web,
        web_host,
        otel,
    )
    loaded = read_scenario(options)
    with Watch(loaded, watching) as watch:
        with progress("certificates") as advance:
            prepared = prepare(options, loaded, advance)
        for problem in prepared.warnings:
            watch.view.warn(str(problem))
        with watch.view:
            outcome = run_with(client, run_scenario(options, loaded, prepared, watch.observer))
        watch.end(outcome.result)
        with reader_may_leave():
            _show(outcome, output_format, watch.view, report=report)
        add_to_step_summary(outcome.result)
        watch.linger()
    return outcome.exit_code


def _show(outcome: Outcome, output_format: Format, view: LiveView, *, report: bool) -> None:
    saved = open_run(outcome.path)
    where = f"report: {html.write_html(saved)}" if report else f"run: {saved.path}"
    view.end(verdict=outcome.result["verdict"], exit_code=outcome.exit_code, path=str(saved.path))
    if output_format is Format.JSON:
        sys.stdout.write(json.render(outcome.result) + "\n")
        if not view.is_json:
            say(where)
        return
    sys.stdout.write(text.render(outcome.result, color=colors()).rstrip("\n") + f"\n{where}\n")
