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
    say,
    warn,
)
from loadgen.cli.watch import Watch
from loadgen.engine.loop import run_on_fast_loop
from loadgen.report import html, json, text
from loadgen.run import Outcome, RunOptions, prepare, read_scenario, run_scenario
from loadgen.store import open_run

if TYPE_CHECKING:
    from loadgen.coordinator import Observer
    from loadgen.plan.plan import Plan


class View(enum.StrEnum):
    """What is shown while the run goes on."""

    AUTO = "auto"
    PLAIN = "plain"
    QUIET = "quiet"


def run(
    scenario: ScenarioFile,
    *,
    overrides: Overrides = None,
    target: TargetOption = None,
    workers: Workers = None,
    runs: RunsFolder = Path("runs"),
    output_format: OutputFormat = Format.TEXT,
    view: Annotated[
        View,
        typer.Option(
            help="A live panel on a terminal (auto), one line a second (plain), or nothing (quiet)."
        ),
    ] = View.AUTO,
) -> int:
    """Run SCENARIO: connect its clients, make them publish and subscribe, and judge what came of it.

    The summary goes to stdout, ending with the path of the HTML report; progress goes to stderr.
    """
    options = RunOptions(scenario, overrides or (), target, workers, runs)
    loaded = read_scenario(options)
    prepared = prepare(options, loaded, _progress if view is not View.QUIET else None)
    warn(prepared.warnings)
    with Watch(loaded, quiet=view is View.QUIET, plain=view is View.PLAIN or None) as watch:

        def observer(plan: Plan) -> Observer:
            return watch.observer(len(plan.clients))

        outcome = run_on_fast_loop(run_scenario(options, loaded, prepared, observer))
    _show(outcome, output_format)
    return outcome.exit_code


def _progress(done: int, total: int) -> None:
    if done == total or done % 500 == 0:
        say(f"certificates: {done} of {total}")


def _show(outcome: Outcome, output_format: Format) -> None:
    report = html.write_html(open_run(outcome.path))
    if output_format is Format.JSON:
        sys.stdout.write(json.render(outcome.result) + "\n")
        say(f"report: {report}")
        return
    sys.stdout.write(text.render(outcome.result, color=sys.stdout.isatty()).rstrip("\n") + "\n")
    sys.stdout.write(f"report: {report}\n")
