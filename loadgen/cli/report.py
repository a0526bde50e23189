"""`loadgen report`: read a run again, write its report anew, and export it in the forms others read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

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
from loadgen.report.csv_tables import write_csv
from loadgen.report.hgrm import write_hgrm
from loadgen.report.junit import write_junit
from loadgen.store import Run, open_run


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
    written = _export(opened, csv=csv, hgrm=hgrm, junit=junit)
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


def _export(run: Run, *, csv: Path | None, hgrm: Path | None, junit: Path | None) -> list[Path]:
    """Write what is asked for, and give the paths.

    Raises:
        ConfigError: something cannot be written.
    """
    written: list[Path] = []
    flag = ""
    try:
        if csv is not None:
            flag = "--csv"
            written += write_csv(run, csv)
        if hgrm is not None:
            flag = "--hgrm"
            written += write_hgrm(run, hgrm)
        if junit is not None:
            flag = "--junit"
            written.append(write_junit(run.result, junit))
    except OSError as error:
        raise ConfigError(
            f"{flag}: cannot write {error.filename}: {error.strerror}", "name another place"
        ) from error
    return written
