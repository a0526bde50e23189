"""The summary of a job of GitHub Actions, which is the file that `GITHUB_STEP_SUMMARY` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.cli.options import say
from loadgen.report import markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "GITHUB_STEP_SUMMARY"


def add_to_step_summary(result: Mapping[str, Any]) -> None:
    """Append a result as Markdown; nothing where there is no such job."""
    if os.environ.get(VARIABLE):
        append_to_step_summary(markdown.render(result))


def append_to_step_summary(written: str) -> None:
    """Append Markdown; nothing where there is no such job.

    A file that cannot be written is told and ends nothing: the run is what counts.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return
    try:
        with Path(name).open("a+", encoding="utf-8") as file:
            file.seek(0)
            # A job that runs and then reports the same run shall not have it twice.
            if written not in file.read():
                file.write(written + "\n")
    except OSError as error:
        say(f"warning: {VARIABLE}: cannot write {name}: {error.strerror or error}")
