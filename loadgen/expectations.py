"""What the brokers should have answered and did, group by group: rows of a result, and their verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.engine.expecting import NO_ANSWER
from loadgen.metrics.verdict import Verdict
from loadgen.plan.settings import group_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.backend.messages import Final
    from loadgen.plan.expectation import Expectation
    from loadgen.plan.plan import Plan

NOT_TRIED = "not tried"
"""Of clients whose turn never came."""


def expectation_rows(plan: Plan, finals: Iterable[Final], *, complete: bool = True) -> list[dict[str, Any]]:
    """Give `expectations` of `result.json`: one row for each group with `expect`, in the scenario's order.

    Args:
        plan: the run's plan.
        finals: the workers' last words.
        complete: False when the run was cut short; who was not asked is then no failure, and proves nothing.
    """
    finals = list(finals)
    rows = []
    for name, group in group_settings(plan.scenario).items():
        if group.expect is None:
            continue
        got: dict[str, int] = {}
        slowest = 0
        for final in finals:
            for answer, (count, took) in final.answers.get(name, {}).items():
                got[answer] = got.get(answer, 0) + count
                slowest = max(slowest, took)
        got.pop("", None)
        if untried := group.clients - sum(got.values()):
            got[NOT_TRIED] = untried
        verdict, reason = _judged(group.expect, got, complete=complete)
        rows.append(
            {
                "case": name,
                "expected": str(group.expect),
                "within": group.expect.within / 1e9,
                "got": dict(sorted(got.items(), key=lambda item: -item[1])),
                "clients": group.clients,
                "slowest": slowest / 1e9 if slowest else None,
                "verdict": verdict.value,
                "reason": reason,
            }
        )
    return rows


def _judged(expect: Expectation, got: dict[str, int], *, complete: bool) -> tuple[Verdict, str]:
    wrong = {answer: count for answer, count in got.items() if not expect.met_by(answer)}
    if not wrong:
        return Verdict.PASS, ""
    if not complete and wrong.keys() <= {NO_ANSWER, NOT_TRIED}:
        return Verdict.INVALID, "the run ended before every client was tried"
    parts = []
    for answer, count in wrong.items():
        late = f" within {expect.within / 1e9:g} s" if answer == NO_ANSWER else ""
        parts.append(f"{answer}{late} x{count}")
    return Verdict.FAIL, f"expected {expect}, got {', '.join(parts)}"


def expectation_faults(rows: Iterable[dict[str, Any]]) -> list[tuple[Verdict, str]]:
    """Give what the rows add to a run's verdict; each reason names its group."""
    return [(Verdict(row["verdict"]), f"{row['case']}: {row['reason']}") for row in rows if row["reason"]]
