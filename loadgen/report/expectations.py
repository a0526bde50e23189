"""Expected answers as people read them: a row for each case, with what was expected and what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.thresholds import MARKS

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("case", "expected", "got", "after")
"""Headings of the table."""


@dataclass(frozen=True, slots=True)
class ExpectationLine:
    """One group that expects an answer, ready to show."""

    mark: str
    verdict: str
    case: str
    expected: str
    got: str
    """What came; with how often each when there was more than one answer or client."""
    after: str
    """How long the slowest client waited for it."""
    reason: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The values under `COLUMNS`."""
        return self.case, self.expected, self.got, self.after


def expectation_lines(result: Mapping[str, Any]) -> list[ExpectationLine]:
    """Give every expectation of a result, in the scenario's order; empty when it has none."""
    return [_line(item) for item in result.get("expectations") or []]


def _line(item: Mapping[str, Any]) -> ExpectationLine:
    verdict = str(item.get("verdict", "invalid"))
    got = item.get("got") or {}
    single = len(got) == 1 and item.get("clients") == 1
    return ExpectationLine(
        mark=MARKS.get(verdict, "!"),
        verdict=verdict,
        case=str(item.get("case") or ""),
        expected=str(item.get("expected") or ""),
        got=", ".join(str(answer) if single else f"{answer} x{count}" for answer, count in got.items()),
        after=figures.seconds(item.get("slowest")),
        reason=str(item.get("reason") or ""),
    )
