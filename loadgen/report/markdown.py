"""A run as a page of Markdown: the summary of a CI job, or a comment on a change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.drift import COLUMNS as DRIFT_COLUMNS
from loadgen.report.drift import drift_lines, judged_time
from loadgen.report.expectations import COLUMNS as EXPECTATION_COLUMNS
from loadgen.report.expectations import expectation_lines
from loadgen.report.faults import HEADINGS, fault_rows
from loadgen.report.figures import clean
from loadgen.report.ledger import COLUMNS, ledger_notes, ledger_rows
from loadgen.report.thresholds import MARKS, threshold_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_METRICS = (
    "publish_latency",
    "publish_service_time",
    "delivery_latency",
    "connect_time",
    "reconnect_time",
    "send_lag",
)
_STATISTICS = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"), ("max", "max"))
_SHOWN = 20
"""Reasons, warnings, faults and expectations shown, the others are counted: a job's summary holds 1 MiB."""
_SPECIAL = re.compile(
    r"""
    [\\`*\[\]|~$&]         # may mean something anywhere
    | (?<!\w)_ | _(?!\w)   # within a word it means nothing
    | <(?=[A-Za-z/!?])     # a tag; a comparison is none
    """,
    re.VERBOSE,
)
_AT_START = re.compile(r"^[-+#>]|(?<=^\d)[.)]")
"""What makes a list or a heading of a line; within a cell of a table it does not."""


def render(result: Mapping[str, Any]) -> str:
    """Give a result as Markdown, tables as GitHub knows them; it ends with a newline.

    Args:
        result: The content of result.json; whatever is missing is left out.
    """
    parts = (
        _head(result),
        _thresholds(result),
        _expectations(result),
        _drift(result),
        _figures(result),
        _latencies(result),
        _faults(result),
        _ledger(result),
        _list("Warnings", result.get("warnings") or []),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def text(words: object) -> str:
    """Escape what a run says, so that it is shown as it is, within a line."""
    return _SPECIAL.sub(r"\\\g<0>", clean(words))


def code(words: object) -> str:
    """Show an expression or a name as code, inside a table too."""
    found = clean(words)
    return text(found) if "`" in found or not found.strip() else f"`{found.replace('|', chr(92) + '|')}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Lay out cells that are Markdown already; the first `left` columns are aligned left."""
    rule = [":--" if place < left else "--:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _head(result: Mapping[str, Any]) -> str:
    verdict = str(result.get("verdict") or "invalid")
    scenario, broker = result.get("scenario") or {}, result.get("broker") or {}
    title = f"## {MARKS.get(verdict, '!')} {verdict.upper()}: {text(scenario.get('name') or 'run')}"
    facts = [
        figures.clock(result.get("duration")),
        text(" ".join(str(part) for part in (broker.get("kind"), broker.get("version")) if part)),
        f"{figures.count((result.get('totals') or {}).get('clients'))} clients",
        f"exit code {result.get('exit_code')}",
        text(result.get("run_id") or ""),
    ]
    lines = [title, "", " · ".join(fact for fact in facts if fact)]
    if result.get("interrupted") or result.get("aborted"):
        lines.append("")
        lines.append("The run was cut short: the figures cover what ran.")
    if broker.get("kind") == "embedded":
        lines.append("")
        lines.append("The embedded broker is not RabbitMQ: these figures say nothing about a cluster.")
    reasons = result.get("reasons") or []
    return "\n".join([*lines, *(["", *_bullets(reasons)] if reasons else [])])


def _bullets(lines: Sequence[object]) -> list[str]:
    more = len(lines) - _SHOWN
    shown = ["- " + _AT_START.sub(r"\\\g<0>", text(line)) for line in lines[:_SHOWN]]
    return [*shown, f"- … and {more} more"] if more > 0 else shown


def _list(title: str, lines: Sequence[object]) -> str:
    return "\n".join([f"### {title}", "", *_bullets(lines)]) if lines else ""


def _thresholds(result: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{line.mark} {line.verdict}",
            code(line.metric) + (" (default)" if line.default else ""),
            code(line.expression),
            line.value,
        )
        for line in threshold_lines(result)
    ]
    if not rows:
        return ""
    return "### Thresholds\n\n" + _table(("", "metric", "threshold", "measured"), rows, left=3)


def _expectations(result: Mapping[str, Any]) -> str:
    lines = expectation_lines(result)
    if not lines:
        return ""
    # Those that are not as expected come first: they are what the reader is here for.
    ordered = sorted(lines, key=lambda line: line.verdict == "pass")
    rows = [
        (f"{line.mark} {line.verdict}", *(text(cell) for cell in line.cells)) for line in ordered[:_SHOWN]
    ]
    shown = "### Expected answers\n\n" + _table(("", *EXPECTATION_COLUMNS), rows, left=4)
    more = len(lines) - _SHOWN
    return f"{shown}\n\n… and {more} more" if more > 0 else shown


def _drift(result: Mapping[str, Any]) -> str:
    lines = drift_lines(result)
    if not lines:
        return ""
    rows = [(f"{line.mark} {line.verdict}", *map(text, line.cells)) for line in lines[:_SHOWN]]
    judged = judged_time(result)
    title = f"### Drift{f' ({text(judged)})' if judged else ''}"
    return f"{title}\n\n" + _table(("", *DRIFT_COLUMNS), rows, left=2)


def _figures(result: Mapping[str, Any]) -> str:
    totals, ledger = result.get("totals") or {}, result.get("ledger") or {}
    if not totals:
        return ""
    cells = (
        f"{figures.count(totals.get('connected'))} of {figures.count(totals.get('clients'))}",
        figures.count(totals.get("published")),
        figures.count(totals.get("acknowledged")),
        f"{figures.count(totals.get('delivered'))} of {figures.count(totals.get('expected_deliveries'))}",
        figures.count(ledger.get("lost")),
        figures.count(ledger.get("duplicate")),
    )
    head = ("connected", "published", "acknowledged", "delivered", "lost", "duplicate")
    return _table(head, [cells], left=0)


def _latencies(result: Mapping[str, Any]) -> str:
    metrics = result.get("metrics") or {}
    rows = [
        (
            code(name),
            figures.count(metrics[name]["count"]),
            *(figures.seconds(metrics[name].get(key)) for key, _ in _STATISTICS),
        )
        for name in _METRICS
        if (metrics.get(name) or {}).get("count")
    ]
    if not rows:
        return ""
    return "### Latency\n\n" + _table(("metric", "samples", *(words for _, words in _STATISTICS)), rows)


def _faults(result: Mapping[str, Any]) -> str:
    rows = fault_rows(result)
    if not rows:
        return ""
    shown = _table(HEADINGS, [[text(cell) for cell in row.cells] for row in rows[:_SHOWN]], left=2)
    troubles = [f"{row.name}: {trouble}" for row in rows for trouble in row.troubles]
    parts = ["### Faults", shown]
    if len(rows) > _SHOWN:
        parts.append(f"… and {len(rows) - _SHOWN} more")
    if troubles:
        parts.append("\n".join(_bullets(troubles)))
    return "\n\n".join(parts)


def _ledger(result: Mapping[str, Any]) -> str:
    ledger = result.get("ledger")
    if not ledger:
        return ""
    lines = ledger_rows(ledger)
    # A cell that continues its neighbour points to it: up for `duplicate`, left for `unexpected`.
    rows = [
        (
            row.name,
            *(
                f"{figures.count(cell.count)} {cell.name}" if cell else "←" if row is lines[-1] else "↑"
                for cell in row.cells
            ),
        )
        for row in lines
    ]
    notes = ledger_notes(ledger)
    shown = "### Ledger\n\n" + _table(("", *COLUMNS), rows)
    return "\n\n".join([shown, *(["\n".join(_bullets(notes))] if notes else [])])
