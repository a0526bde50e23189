"""A comparison as text for a terminal or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.compare.model import Finding
from loadgen.report import figures
from loadgen.report.figures import clean
from loadgen.report.text import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.compare.model import Comparison, Row, RunLine

MARKS = {
    Finding.REGRESSION: "✗",
    Finding.IMPROVEMENT: "▲",
    Finding.SAME: "✓",
    Finding.UNCLEAR: "?",
    Finding.SHOWN: " ",
}
WORDS = {
    Finding.REGRESSION: "worse",
    Finding.IMPROVEMENT: "better",
    Finding.SAME: "no change",
    Finding.UNCLEAR: "cannot tell",
    Finding.SHOWN: "not judged",
}
COLUMNS = ("figure", "base", "run", "change", "interval", "finding")
_COLOURS = {Finding.REGRESSION: "31", Finding.IMPROVEMENT: "32", Finding.UNCLEAR: "33", Finding.SHOWN: "2"}


def render(comparison: Comparison, *, color: bool = False) -> str:
    """Write a comparison for a terminal or a log; the last line is what it came to.

    Args:
        comparison: what was found.
        color: whether to mark findings with ANSI colours. The words are the same without.
    """

    def paint(text: str, code: str | None) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if color and code and text else text

    head, *lines = table([COLUMNS, *(cells(row) for row in comparison.rows)], indent="", left=1)
    shown = [f"    {paint(head, '2')}"]
    for line, row in zip(lines, comparison.rows, strict=True):
        tail = f"  ({clean(row.reason)})" if row.reason else ""
        text = paint(line, _COLOURS.get(row.finding))
        shown.append(f"  {MARKS[row.finding]} {text}{paint(tail, '2')}".rstrip())
    sections = (
        [paint(f"{clean(comparison.scenario) or 'run'} · comparison", "1")],
        [*_side("base", comparison.base), *_side("run", comparison.runs)],
        [paint("FIGURES", "1"), *shown],
        [paint("NOTES", "1"), *(f"  - {clean(note)}" for note in [*comparison.notes, how(comparison)])],
        _outcome(comparison, paint),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row, under `COLUMNS`."""
    interval = f"{percent(row.low)} … {percent(row.high)}" if row.low is not None else ""
    return (
        clean(row.name),
        value(row, row.base),
        value(row, row.run),
        percent(row.change),
        interval,
        WORDS[row.finding],
    )


def value(row: Row, figure: float | None) -> str:
    """A figure in the unit of its row."""
    if row.unit == "s":
        return figures.seconds(figure)
    if row.unit == "/s":
        return figures.rate(figure)
    if row.unit == "B":
        return figures.size(figure)
    return figures.NOTHING if figure is None else f"{figure:,.10g}"


def percent(portion: float | None) -> str:
    """A change with its sign."""
    if portion is None:
        return figures.NOTHING
    if portion > 9.995:
        return f"x{portion + 1:,.0f}"
    return f"{100 * portion:+.1f} %"


def verdict(comparison: Comparison) -> str:
    """What it came to, in a word or two."""
    return "REGRESSION" if comparison.regressions else "NO REGRESSION"


def outcome(comparison: Comparison) -> str:
    """What it came to, in a sentence."""
    worse, better, same, unclear = (
        comparison.found(each)
        for each in (Finding.REGRESSION, Finding.IMPROVEMENT, Finding.SAME, Finding.UNCLEAR)
    )
    parts = [f"{len(worse)} worse" if worse else "nothing worse"]
    parts += [f"{len(better)} better"] if better else []
    parts += [f"{len(same)} unchanged"] if same else []
    parts += [f"of {len(unclear)} it cannot be told"] if unclear else []
    return ", ".join(parts)


def how(comparison: Comparison) -> str:
    """How it was judged, in a sentence."""
    return (
        f"worse is what lies beyond {100 * comparison.tolerance:g} % with its whole interval; with "
        f"{100 * comparison.confidence:g} % confidence none of the {comparison.judged} intervals misses its "
        f"value (block bootstrap, seed {comparison.seed})"
    )


def _outcome(comparison: Comparison, paint: Callable[[str, str | None], str]) -> list[str]:
    code = "31" if comparison.regressions else "32"
    lines = [
        f"  - {clean(row.name)}: {value(row, row.base)} → {value(row, row.run)}"
        + (f", {percent(row.change)}" if row.change is not None else "")
        for row in comparison.regressions
    ]
    return [
        *lines,
        f"{paint(verdict(comparison), code)} ({outcome(comparison)}; exit code {comparison.exit_code})",
    ]


def _side(name: str, side: Sequence[RunLine]) -> list[str]:
    return [f"  {name:<5} {clean(about(each))}" for each in side]


def about(line: RunLine) -> str:
    """A run in a line."""
    parts = (line.run_id, figures.clock(line.duration), line.broker, f"loadgen {line.loadgen}", line.verdict)
    return " · ".join(part for part in parts if part)
