"""`loadgen report`: read a run again, and write its report anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loadgen.cli.options import Format, OutputFormat, colors
from loadgen.histogram_log import write_histogram_log
from loadgen.partial import result_of
from loadgen.report import html, json, text
from loadgen.store import open_run


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")] = Path("runs/latest"),
    *,
    output_format: OutputFormat = Format.TEXT,
) -> int:
    """Print the summary of a run and write its report.html; works on a run that was killed, too."""
    opened = result_of(open_run(run))
    write_histogram_log(opened)
    path = html.write_html(opened)
    if output_format is Format.JSON:
        sys.stdout.write(json.render(opened.result) + "\n")
        return 0
    sys.stdout.write(text.render(opened.result, color=colors()).rstrip("\n") + "\n")
    sys.stdout.write(f"report: {path}\n")
    return 0
