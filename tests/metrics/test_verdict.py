from __future__ import annotations

import itertools

from loadgen.errors import ExitCode
from loadgen.metrics.verdict import Verdict, exit_code, merge_verdicts


def test_the_worst_wins_whatever_the_order() -> None:
    for order in itertools.permutations(Verdict):
        assert merge_verdicts(order) is Verdict.INVALID
    assert merge_verdicts([Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
    assert merge_verdicts([]) is Verdict.PASS
    assert [verdict.severity for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INVALID)] == [0, 1, 2]


def test_exit_codes() -> None:
    assert [int(exit_code(verdict)) for verdict in Verdict] == [0, 99, 98]
    assert {exit_code(verdict, interrupted=True) for verdict in Verdict} == {ExitCode.INTERRUPTED}
