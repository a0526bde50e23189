"""Options that several commands share."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.errors import Problem


class Format(enum.StrEnum):
    """How results are written to stdout."""

    TEXT = "text"
    JSON = "json"


ScenarioFile = Annotated[Path, typer.Argument(help="The scenario file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario; may be repeated."),
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="FILE", help="A file whose content replaces the target, or `embedded`."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Worker processes; 1 runs in this process. [default: one a core]"),
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where runs are kept.")]
OutputFormat = Annotated[
    Format, typer.Option("--output-format", help="Write results as text or as JSON.", case_sensitive=False)
]


def say(text: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(text + "\n")


def warn(problems: Iterable[Problem]) -> None:
    """Show warnings."""
    for problem in problems:
        say(f"warning: {problem}")
