"""Writes a run's report.html; bokeh and jinja2 are loaded by the first report, not by this import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.report.source import RunSource

REPORT_NAME = "report.html"


def write_html(run: RunSource) -> Path:
    """Write `report.html` into the run's folder and give its path.

    The file is complete or not there: it is written beside and then moved into place.

    Raises:
        OSError: The folder cannot be written.
    """
    # Half a second of imports, which a run must not pay before its first client connects.
    from loadgen.report.page import render  # noqa: PLC0415

    path = run.path / REPORT_NAME
    draft = path.with_suffix(".html.part")
    draft.write_text(render(run), encoding="utf-8")
    draft.replace(path)
    return path
