"""`loadgen mark`: say to a running run that something happened to the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadgen.cli.options import say
from loadgen.errors import ConfigError
from loadgen.faults.marks import LONGEST_TEXT, write_mark
from loadgen.report.figures import clean
from loadgen.scenario.units import parse_duration
from loadgen.store import is_running, open_run

_LATEST = Path("runs/latest")


def mark(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What happens, in a few words.")],
    *,
    run: Annotated[Path, typer.Option("--run", metavar="RUN", help="Folder of the running run.")] = _LATEST,
    window: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="Keep its window open at least so long, for what takes effect later: 30s.",
        ),
    ] = "0s",
) -> None:
    """Mark this moment in a running run, so that a fault that somebody else does gets its window.

    Say it just before it is done. The report then has, as for a fault of the scenario, who was affected and
    how long, until all is well again. Only on the machine that the run is on.
    """
    if not text.strip():
        raise ConfigError("a mark needs words", 'for example: loadgen mark "power of rack 2 off"')
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"a mark has at most {LONGEST_TEXT} characters, this one {len(text)}", "shorten it")
    try:
        at_least = parse_duration(window)
    except ValueError as error:
        raise ConfigError(f"--for: {error}", "write for example --for 30s") from error
    folder = open_run(run).path
    if not is_running(folder):
        raise ConfigError(f"{folder} is no running run", "a mark can be made only while a run goes on")
    write_mark(folder, text.strip(), at_least)
    say(f"marked in {folder.name}: {clean(text.strip())}")
