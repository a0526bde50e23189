"""Options that several commands share, and how all commands speak to people."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.status import Status

    from loadgen.errors import Problem


class Format(enum.StrEnum):
    """How results are written to stdout."""

    TEXT = "text"
    JSON = "json"


EMBEDDED = "embedded"
"""What `--target` takes besides a file."""

ScenarioFile = Annotated[
    Path, typer.Argument(metavar="SCENARIO", help="Scenario file (YAML).", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the scenario, such as stages.steady.hold=10s; repeatable.",
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="FILE",
        help="File whose content replaces the scenario's target, or `embedded`.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Worker processes; 1 runs in this process. One a core, fewer for few clients, when left out.",
    ),
]
RunsFolder = Annotated[
    Path, typer.Option("--runs", metavar="FOLDER", help="Folder that gets a folder for each run.")
]
OutputFormat = Annotated[
    Format, typer.Option("--output-format", help="Write results as text or as JSON.", case_sensitive=False)
]


def target_file(target: str | None) -> Path | None:
    """The file that `--target` names; None for none and for the embedded broker."""
    return Path(target) if target and target != EMBEDDED else None


def say(text: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(text + "\n")


def warn(problems: Iterable[Problem]) -> None:
    """Show warnings."""
    for problem in problems:
        say(f"warning: {problem}")


def write_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON takes
    """Write a result to stdout as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Write to stdout although whoever reads it may go away (`| head`): that changes no exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Else the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def colors() -> bool:
    """Whether results on stdout may be coloured: on a terminal, and NO_COLOR is not set."""
    console = Console(file=sys.stdout)
    return console.color_system is not None and not console.no_color


@contextlib.contextmanager
def progress(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show `words done/total` on stderr, on a terminal only; gives what to call with (done, total)."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = TextColumn("{task.description} {task.completed}/{task.total}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def busy(what: str) -> Status:
    """Say on stderr what goes on: a spinner on a terminal, one line otherwise; a context manager."""
    if not sys.stderr.isatty():
        say(what)
    return Console(stderr=True).status(what)
