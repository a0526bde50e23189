"""Certificate steps in a report: one line for each, and what happened in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.figures import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("step", "from", "clients", "back", "refused", "lost", "p50", "p99", "max", "took", "broker sees")
"""Headings of `StepLine.cells`."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step, in words."""

    cells: tuple[str, ...]
    """One for each of `COLUMNS`."""
    notes: tuple[str, ...]
    """Causes, phases, and why it did not go as it should."""
    bad: bool
    """Whether it is a reason for the verdict not to be a pass."""


def step_lines(result: Mapping[str, Any]) -> list[StepLine]:
    """Give the certificate steps of a result, in the order in which they came."""
    return [_line(row) for row in result.get("certificate_steps") or []]


def _line(row: Mapping[str, Any]) -> StepLine:
    kind, outcome = str(row.get("kind") or ""), str(row.get("outcome") or "")
    sets = ", ".join(map(str, row.get("sets") or []))
    refusal = row.get("expect") == "refused"
    awaited, back = row.get("awaited") or 0, row.get("reconnected") or 0
    times = row.get("reconnect") or {}
    view = row.get("view")
    begun, last = row.get("at"), row.get("last_back_at")
    # Nobody comes back because a certificate ends.
    watched = kind == "expire"
    cells = (
        clean(f"{kind} {sets}{' (to be refused)' if refusal else ''}"),
        figures.clock(begun),
        figures.count(row.get("clients")),
        figures.NOTHING if watched else figures.count(back),
        figures.count(row.get("refused")),
        figures.count(row.get("lost")),
        *(figures.seconds(times.get(key)) for key in ("p50", "p99", "max")),
        figures.NOTHING if begun is None or last is None else figures.seconds(last - begun),
        figures.NOTHING
        if view is None
        else f"{figures.count(view.get('ok'))} of {figures.count(view.get('checked'))}",
    )
    trouble = row.get("trouble")
    notes = [f"{outcome}: {trouble}" if trouble else outcome] if outcome != "done" else []
    notes += [f"{cause} x{count}" for cause, count in (row.get("failures") or {}).items()]
    notes += [f"{figures.clock(phase.get('at'))} {phase.get('name')}" for phase in row.get("phases") or []]
    if watched:
        connected, lost = row.get("connected") or 0, row.get("lost") or 0
        notes.insert(
            0, f"{connected} were connected when their certificates ended; {lost} of these were cut off"
        )
    wrong = bool(back) if refusal else awaited > back
    seen_wrong = view is not None and view.get("ok") != view.get("checked")
    return StepLine(cells, tuple(map(clean, notes)), outcome != "done" or wrong or seen_wrong)
