"""The delivery ledger as a table of three by three, laid out once for text and HTML alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COLUMNS = ("delivered once", "more than once", "never delivered")


@dataclass(frozen=True, slots=True)
class Cell:
    """One class of the ledger."""

    name: str
    count: int
    tone: str = ""
    """`bad` when a promise was broken, `odd` when it is allowed but worth a look, empty otherwise."""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what the broker had said about the message, and cells; None continues a neighbour's."""

    name: str
    cells: tuple[Cell | None, Cell | None, Cell | None]


def ledger_rows(ledger: Mapping[str, Any]) -> list[Row]:
    """Give the ledger's three rows.

    `duplicate` is one count over both its rows and `unexpected` one over both its columns, so each stands
    once, and the cells it also covers are None.
    """

    def cell(key: str, name: str, meaning: str, tone: str = "") -> Cell:
        number = int(ledger.get(key) or 0)
        return Cell(name, number, tone if number else "", meaning)

    return [
        Row(
            "acknowledged",
            (
                cell("ok", "ok", "promised and kept"),
                cell("duplicate", "duplicate", "allowed at QoS 1, acknowledged or not", "odd"),
                cell("lost", "LOST", "the broker broke its promise", "bad"),
            ),
        ),
        Row(
            "sent, not acknowledged",
            (
                cell("recovered", "recovered", "not promised, delivered all the same"),
                None,
                cell("indeterminate", "indeterminate", "not promised, so allowed", "odd"),
            ),
        ),
        Row(
            "never sent",
            (
                cell("unexpected", "unexpected", "received, but not sent by this run", "odd"),
                None,
                cell(
                    "not_attempted",
                    "not attempted",
                    "dropped before sending, or the client was away as planned",
                    "odd",
                ),
            ),
        ),
    ]


def ledger_notes(ledger: Mapping[str, Any]) -> list[str]:
    """Give the counts that stand beside the table, in words; only those that are not zero."""
    notes = []
    for key, words in (
        ("reordered", "arrived out of order"),
        ("indeterminate_qos0", "of the indeterminate were QoS 0: no promise was made"),
        (
            "session_gap",
            "of the indeterminate were acknowledged while the subscriber had no session: no promise to it",
        ),
        ("expired", "of the indeterminate were acknowledged and may have expired at the broker"),
        ("unaccounted", "pairs could not be checked: a worker was lost"),
        ("unsettled", "of the indeterminate were acknowledged and still on the way when the run ended"),
    ):
        number = int(ledger.get(key) or 0)
        if number:
            notes.append(f"{number:,} {words}")
    return notes


def worst_pairs(ledger: Mapping[str, Any]) -> list[str]:
    """Give the pairs that lack the most messages, one line each, whatever fields they have."""
    lines = []
    for pair in ledger.get("worst") or []:
        if not isinstance(pair, Mapping):
            lines.append(str(pair))
            continue
        publisher, subscriber = pair.get("publisher", "?"), pair.get("subscriber", "?")
        missing = _ranges(pair.get("missing") or pair.get("ranges") or [])
        lost = pair.get("lost")
        if lost == 0 and not missing:  # it lacks only what nobody had promised
            continue
        counted = f"{lost:,} missing" if isinstance(lost, int) else "missing"
        lines.append(
            f"publisher {publisher} → subscriber {subscriber}: {counted}{f': {missing}' if missing else ''}"
        )
    return lines


def _ranges(ranges: object, limit: int = 8) -> str:
    """Write sequence ranges as `3-7, 9`, at most `limit` of them; each is `[start, stop)` or one number."""
    if not isinstance(ranges, (list, tuple)):
        return str(ranges)
    parts = []
    for item in ranges[:limit]:
        if isinstance(item, (list, tuple)) and len(item) == 2:
            first, last = item[0], item[1] - 1
            parts.append(str(first) if first == last else f"{first}-{last}")
        else:
            parts.append(str(item))
    return ", ".join(parts) + (" …" if len(ranges) > limit else "")
