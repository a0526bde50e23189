"""The summary printed at the end of a run: thresholds first, the verdict last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadgen.report import figures
from loadgen.report.advice import advice
from loadgen.report.certificate_steps import COLUMNS as STEP_COLUMNS
from loadgen.report.certificate_steps import step_lines
from loadgen.report.codes import code_lines
from loadgen.report.drift import COLUMNS as DRIFT_COLUMNS
from loadgen.report.drift import drift_lines, judged_time
from loadgen.report.expectations import COLUMNS as COLUMNS_OF_EXPECTATIONS
from loadgen.report.expectations import expectation_lines
from loadgen.report.faults import HEADINGS, fault_rows
from loadgen.report.figures import clean
from loadgen.report.ledger import COLUMNS, ledger_notes, ledger_rows, worst_pairs
from loadgen.report.thresholds import threshold_lines

PERCENTILES: tuple[tuple[str, str], ...] = (
    ("p50", "p50"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
    ("p99_9", "p99.9"),
    ("max", "max"),
)
"""Keys of a metric in result.json, with the heading each has in a table."""

_COLOURS = {
    "pass": "32",
    "fail": "31",
    "invalid": "33",
    "warn": "33",
    "bad": "31",
    "odd": "33",
    "head": "1",
    "quiet": "2",
}
_SHOWN_LINES = 5
"""How many view mismatches or worst pairs the text shows; the HTML report shows all that were kept."""

Paint = Callable[[str, str], str]


def render(result: Mapping[str, Any], *, color: bool = False) -> str:
    """Write a run's summary for a terminal or a log.

    Args:
        result: The content of result.json; whatever is missing is left out.
        color: True to mark verdicts with ANSI colours. The words are the same without.

    Returns:
        Lines without a newline at the end; the last line is the verdict.
    """

    def paint(text: str, tone: str) -> str:
        return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if color and text and tone in _COLOURS else text

    sections = (
        _title(result, paint),
        _thresholds(result, paint),
        _expectations(result, paint),
        _drift(result, paint),
        _totals(result, paint),
        _ledger(result, paint),
        _faults(result, paint),
        _percentiles(result, paint),
        _codes(result, paint),
        _certificate_steps(result, paint),
        _generator(result, paint),
        _broker(result, paint),
        _listing("WARNINGS", result.get("warnings") or [], paint),
        _listing("WHAT TO DO", advice(result), paint),
        _verdict(result, paint),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def table(rows: Sequence[Sequence[str]], *, left: int = 1, indent: str = "  ", gap: str = "  ") -> list[str]:
    """Lay out rows of equal length in columns: the first `left` aligned left, the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        indent
        + gap.join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _title(result: Mapping[str, Any], paint: Paint) -> list[str]:
    scenario, broker = result.get("scenario") or {}, result.get("broker") or {}
    target = " ".join(clean(part) for part in (broker.get("kind"), broker.get("version")) if part)
    parts = [clean(scenario.get("name") or "run"), figures.clock(result.get("duration")), target]
    lines = [paint(" · ".join(part for part in parts if part), "head")]
    client = (result.get("environment") or {}).get("client")
    if client not in {None, "native"}:
        lines.append(paint(f"the clients are those of {clean(client)}, not loadgen's own", "quiet"))
    if broker.get("kind") == "embedded":
        lines.append(
            paint("the embedded broker is not RabbitMQ: these figures say nothing about a cluster", "quiet")
        )
    return lines


def _thresholds(result: Mapping[str, Any], paint: Paint) -> list[str]:
    lines = threshold_lines(result)
    if not lines:
        return [paint("THRESHOLDS", "head"), "  none"]
    columns = table(
        [[clean(line.metric), clean(line.expression), line.value] for line in lines], left=2, indent=""
    )
    shown = []
    for line, words in zip(lines, columns, strict=True):
        notes = [clean(line.reason)] if line.reason and line.verdict != "pass" else []
        notes += ["default"] if line.default else []
        tail = f"  ({'; '.join(notes)})" if notes else ""
        shown.append(f"  {paint(line.mark, line.verdict)} {words}{paint(tail, 'quiet')}")
    return [paint("THRESHOLDS", "head"), *shown]


def _expectations(result: Mapping[str, Any], paint: Paint) -> list[str]:
    lines = expectation_lines(result)
    if not lines:
        return []
    head, *rows = table(
        [COLUMNS_OF_EXPECTATIONS, *([clean(cell) for cell in line.cells] for line in lines)],
        left=3,
        indent="",
    )
    return [
        paint("EXPECTED ANSWERS", "head"),
        f"    {paint(head, 'quiet')}",
        *(f"  {paint(line.mark, line.verdict)} {row}" for line, row in zip(lines, rows, strict=True)),
    ]


def _drift(result: Mapping[str, Any], paint: Paint) -> list[str]:
    lines = drift_lines(result)
    if not lines:
        return []
    head, *rows = table(
        [DRIFT_COLUMNS, *([clean(cell) for cell in line.cells] for line in lines)], left=1, indent=""
    )
    when = judged_time(result)
    return [
        paint(f"DRIFT ({clean(when)})" if when else "DRIFT", "head"),
        f"    {paint(head, 'quiet')}",
        *(
            f"  {paint(line.mark, line.verdict) if line.mark else ' '} {row}"
            for line, row in zip(lines, rows, strict=True)
        ),
    ]


def _totals(result: Mapping[str, Any], paint: Paint) -> list[str]:
    totals = result.get("totals") or {}

    def number(key: str) -> str:
        return figures.count(totals.get(key))

    sent, received = figures.size(totals.get("bytes_sent")), figures.size(totals.get("bytes_received"))
    to_refuse = f", {number('refused')} were to be refused" if totals.get("refused") else ""
    rows = [
        ["clients", number("connected"), f"of {number('clients')} connected{to_refuse}"],
        ["published", number("published"), f"{sent} sent"],
        ["acknowledged", number("acknowledged"), ""],
        [
            "delivered",
            number("delivered"),
            f"of {number('expected_deliveries')} expected, {received} received",
        ],
    ]
    width = max(len(row[1]) for row in rows)
    return [
        paint("TOTALS", "head"),
        *(f"  {name:<12}  {value:>{width}}  {paint(note, 'quiet')}".rstrip() for name, value, note in rows),
    ]


def _ledger(result: Mapping[str, Any], paint: Paint) -> list[str]:
    ledger = result.get("ledger")
    if not ledger:
        return []
    rows = ledger_rows(ledger)
    # A cell that continues its neighbour points to it: up for `duplicate`, left for `unexpected`.
    texts = [
        [f"{cell.count:,} {cell.name}" if cell else "←" if row is rows[-1] else "↑" for cell in row.cells]
        for row in rows
    ]
    name_width = max(len(row.name) for row in rows)
    widths = [max(len(COLUMNS[i]), *(len(line[i]) for line in texts)) for i in range(3)]
    head = "  ".join(title.rjust(width) for title, width in zip(COLUMNS, widths, strict=True))
    lines = [f"{paint('LEDGER'.ljust(name_width + 2), 'head')}  {paint(head, 'quiet')}"]
    for row, line in zip(rows, texts, strict=True):
        cells = [
            paint(text.rjust(width), cell.tone if cell else "quiet")
            for text, width, cell in zip(line, widths, row.cells, strict=True)
        ]
        lines.append(f"  {row.name.ljust(name_width)}  {'  '.join(cells)}")
    lines += [f"  {note}" for note in ledger_notes(ledger)]
    return lines + _first_lines(worst_pairs(ledger))


def _faults(result: Mapping[str, Any], paint: Paint) -> list[str]:
    rows = fault_rows(result)
    if not rows:
        return []
    # The first heading is the section's title: it stands two columns further left than what is below it.
    title = "FAULTS"
    head, *lines = table(
        [[" " * len(title), *HEADINGS[1:]], *([clean(cell) for cell in row.cells] for row in rows)], left=2
    )
    shown = [paint(title, "head") + paint(head[len(title) :], "quiet")]
    for line, row in zip(lines, rows, strict=True):
        shown.append(paint(line, "bad") if row.bad else line)
        shown += [paint(f"    ! {clean(trouble)}", "invalid") for trouble in row.troubles]
        shown += [f"    {clean(note)}" for note in row.notes]
    return shown


def _percentiles(result: Mapping[str, Any], paint: Paint) -> list[str]:
    metrics = {name: metric for name, metric in (result.get("metrics") or {}).items() if metric.get("count")}
    if not metrics:
        return []
    rows = [[" " * len("LATENCY"), "count", *(title for _, title in PERCENTILES)]]
    for name, metric in metrics.items():
        values = [figures.seconds(metric.get(key)) for key, _ in PERCENTILES]
        rows.append([clean(name), figures.count(metric["count"]), *values])
    head, *lines = table(rows)
    head = paint("LATENCY", "head") + paint(head[len("LATENCY") :], "quiet")
    outside = sum(int(metric.get("out_of_range") or 0) for metric in metrics.values())
    return [head, *lines, *([f"  {outside:,} samples were out of range (above 1 h)"] if outside else [])]


def _codes(result: Mapping[str, Any], paint: Paint) -> list[str]:
    lines = code_lines(result.get("codes") or {})
    if not lines:
        return []
    rows = table(
        [[line.section, clean(line.code), clean(line.words), figures.count(line.count)] for line in lines],
        left=3,
    )
    shown = [paint("CODES", "head")]
    for line, row in zip(lines, rows, strict=True):
        shown.append(paint(row, "bad") if line.bad else row)
        if line.hint and line.bad:
            shown.append(f"    → {line.hint}")
    return shown


def _certificate_steps(result: Mapping[str, Any], paint: Paint) -> list[str]:
    lines = step_lines(result)
    if not lines:
        return []
    head, *rows = table([STEP_COLUMNS, *(line.cells for line in lines)])
    shown = [paint("CERTIFICATE STEPS", "head"), paint(head, "quiet")]
    for line, row in zip(lines, rows, strict=True):
        shown.append(paint(row, "bad") if line.bad else row)
        shown += [f"    {note}" for note in line.notes]
    return shown


def _generator(result: Mapping[str, Any], paint: Paint) -> list[str]:
    generator = result.get("generator")
    if not generator:
        return []
    send, loop = generator.get("send_lag") or {}, generator.get("loop_lag") or {}
    lost = generator.get("workers_lost") or 0
    rows = [
        ["send lag", f"p50 {figures.seconds(send.get('p50'))}, p99 {figures.seconds(send.get('p99'))}"],
        ["loop lag", f"p50 {figures.seconds(loop.get('p50'))}, p99 {figures.seconds(loop.get('p99'))}"],
        [
            "cpu",
            (
                f"{figures.seconds(generator.get('cpu'))}, "
                f"{figures.percent(generator.get('cpu_percent'))} of a core"
            ),
        ],
        ["memory", f"{figures.size(generator.get('rss_peak'))} at most"],
        [
            "late",
            f"{figures.count(generator.get('late'))}, dropped {figures.count(generator.get('dropped'))}",
        ],
        ["workers", f"{figures.count(generator.get('workers'))}{f', {lost} lost' if lost else ''}"],
    ]
    return [paint("GENERATOR", "head"), *table(rows, left=2)]


def _broker(result: Mapping[str, Any], paint: Paint) -> list[str]:
    view = (result.get("broker") or {}).get("view")
    if not view:
        return []
    checked, ok = view.get("checked"), view.get("ok")
    mismatches = [str(line) for line in view.get("mismatches") or []]
    nodes = ", ".join(f"{clean(node)} {figures.count(n)}" for node, n in (view.get("by_node") or {}).items())
    line = (
        f"{figures.count(ok)} of {figures.count(checked)} clients seen with their own certificate's identity"
    )
    return [
        paint("BROKER'S VIEW", "head"),
        f"  {paint(line, 'bad' if mismatches or ok != checked else '')}",
        *([f"  {nodes}"] if nodes else []),
        *_first_lines(mismatches),
    ]


def _first_lines(lines: Sequence[str]) -> list[str]:
    """Show the first few lines, and how many more there are."""
    more = len(lines) - _SHOWN_LINES
    return [
        *(f"    {clean(line)}" for line in lines[:_SHOWN_LINES]),
        *([f"    … and {more} more in report.html"] if more > 0 else []),
    ]


def _listing(title: str, lines: Sequence[object], paint: Paint) -> list[str]:
    return [paint(title, "head"), *(f"  - {clean(line)}" for line in lines)] if lines else []


def _verdict(result: Mapping[str, Any], paint: Paint) -> list[str]:
    verdict = str(result.get("verdict") or "invalid")
    code = result.get("exit_code")
    words = paint(f"VERDICT {verdict.upper()}", verdict)
    cut = "interrupted" if result.get("interrupted") else "ended early" if result.get("aborted") else ""
    stopped = f", {cut}: the figures cover what ran" if cut else ""
    reasons = [clean(reason) for reason in result.get("reasons") or []]
    return [
        *(f"  - {reason}" for reason in reasons),
        f"{words} (exit code {NOT_KNOWN if code is None else code}{stopped})",
    ]


NOT_KNOWN = figures.NOTHING
