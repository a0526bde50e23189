"""`loadgen report`: read a run again, write its report anew, and export it in the forms others read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadgen.cli.options import Format, OutputFormat, colors, say
from loadgen.cli.step_summary import add_to_step_summary
from loadgen.errors import ConfigError
from loadgen.histogram_log import write_histogram_log
from loadgen.partial import result_of
from loadgen.report import html as html_report
from loadgen.report import json as json_report
from loadgen.report import markdown as markdown_report
from loadgen.report import text
from loadgen.report.chart_files import write_charts
from loadgen.report.csv_tables import write_csv
from loadgen.report.hgrm import write_hgrm
from loadgen.report.junit import write_junit
from loadgen.store import open_run

if TYPE_CHECKING:
    from collections.abc import Callable


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")] = Path("runs/latest"),
    *,
    output_format: OutputFormat = Format.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Print result.json: --output-format json.")] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown",
            help="Print a short summary as Markdown; append it to GITHUB_STEP_SUMMARY's file, if set.",
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="DIR", help="Write timeline, percentiles, events and faults as CSV files."
        ),
    ] = None,
    hgrm: Annotated[
        Path | None,
        typer.Option("--hgrm", metavar="DIR", help="Write a HdrHistogram percentile file for each metric."),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write thresholds and verdict as JUnit XML."),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg",
            metavar="DIR",
            help="Write charts for slides and papers as SVG (pip install 'loadgen[charts]').",
        ),
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="DIR", help="The same charts as PNG, 1920 by 1080.")
    ] = None,
    html: Annotated[
        bool, typer.Option("--html/--no-html", help="Write report.html into the run's folder.")
    ] = True,
) -> int:
    """Print the summary of a run and write its report.html; works on a run that was killed, too.

    Several exports may be asked for at once. The exit code is 0 whatever the run's verdict.
    """
    if markdown and (json or output_format is Format.JSON):
        raise ConfigError("--markdown and --json both write to standard output", "ask for one of them")
    opened = result_of(open_run(run))
    write_histogram_log(opened)
    exports: tuple[tuple[str, Path | None, Callable[[Path], list[Path]]], ...] = (
        ("csv", csv, lambda folder: write_csv(opened, folder)),
        ("hgrm", hgrm, lambda folder: write_hgrm(opened, folder)),
        ("junit", junit, lambda path: [write_junit(opened.result, path)]),
        ("svg", svg, lambda folder: write_charts(opened, "svg", folder)),
        ("png", png, lambda folder: write_charts(opened, "png", folder)),
    )
    written = [file for flag, path, write in exports if path for file in _export(flag, path, write)]
    report_html = html_report.write_html(opened) if html else None
    if json or output_format is Format.JSON:
        sys.stdout.write(json_report.render(opened.result) + "\n")
    elif markdown:
        sys.stdout.write(markdown_report.render(opened.result))
        add_to_step_summary(opened.result)
    else:
        sys.stdout.write(text.render(opened.result, color=colors()).rstrip("\n") + "\n")
        if report_html is not None:
            sys.stdout.write(f"report: {report_html}\n")
    for path in written:
        say(f"written: {path}")
    return 0


def _export(flag: str, path: Path, write: Callable[[Path], list[Path]]) -> list[Path]:
    """Write what a flag asks for, and give the paths.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        return write(path)
    except OSError as error:
        raise ConfigError(
            f"--{flag}: cannot write {error.filename}: {error.strerror}", "name another place"
        ) from error
