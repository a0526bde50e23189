"""A comparison as Markdown: the summary of a CI job, or a comment on a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.compare.text import COLUMNS, MARKS, about, cells, how, outcome, verdict
from loadgen.report.markdown import text

if TYPE_CHECKING:
    from loadgen.compare.model import Comparison


def render(comparison: Comparison) -> str:
    """Give a comparison as Markdown, tables as GitHub knows them; it ends with a newline."""
    sides = [("base", each) for each in comparison.base] + [("run", each) for each in comparison.runs]
    head = ["", *COLUMNS, ""]
    rows = [[MARKS[row.finding].strip(), *cells(row), row.reason] for row in comparison.rows]
    lines = [
        f"## {text(comparison.scenario or 'run')}: comparison",
        "",
        f"**{verdict(comparison)}**: {text(outcome(comparison))}",
        "",
        *(f"- {name}: {text(about(line))}" for name, line in sides),
        "",
        f"| {' | '.join(head)} |",
        "| --- | :-- | --: | --: | --: | --: | :-- | :-- |",
        *(f"| {' | '.join(map(text, row))} |" for row in rows),
        "",
        *(f"- {text(note)}" for note in (*comparison.notes, how(comparison))),
    ]
    return "\n".join(lines) + "\n"
