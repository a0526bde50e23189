"""Pass, fail or invalid: how severe outcomes win, and the exit code of each (docs/architecture.md)."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from loadgen.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(enum.StrEnum):
    """What a threshold, a check or a whole run comes to; later members are more severe."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INVALID = "invalid"
    """Proves nothing, neither good nor bad: worse than a failure, because the run must be made again."""

    @property
    def severity(self) -> int:
        """0 for pass, 1 for fail, 2 for invalid."""
        return _SEVERITY[self]


_SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}
_EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.THRESHOLDS_FAILED,
    Verdict.INVALID: ExitCode.INVALID,
}


def merge_verdicts(verdicts: Iterable[Verdict]) -> Verdict:
    """Give the most severe verdict; pass when there is none."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.PASS)


def exit_code(verdict: Verdict, *, interrupted: bool = False) -> ExitCode:
    """Give the exit code of a run; an interrupted run says so whatever its verdict."""
    return ExitCode.INTERRUPTED if interrupted else _EXIT_CODES[verdict]
