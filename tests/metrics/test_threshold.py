from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.snapshot import Snapshot
from loadgen.metrics.threshold import RUN, ThresholdResult, evaluate
from loadgen.metrics.verdict import Verdict

MS = 1_000_000
TOTALS = Snapshot(
    interval=9,
    histograms={
        "publish_latency|a": Histogram([ms * MS for ms in range(1, 101)]),
        "publish_latency|b": Histogram([2_000 * MS]),
        "publish_latency@n1:8883|b": Histogram([3 * MS]),
        "delivery_latency|a": Histogram([-1]),
        "loop_lag|": Histogram([3 * MS]),
    },
    counters={"published|a": 100, "published|b": 20, "published@n1:8883|b": 5},
)
STAGES = {
    "steady": Snapshot(
        interval=5, histograms={"publish_latency|a": Histogram([7 * MS])}, counters={"published|a": 10}
    )
}
DURING = ("during", "kill")
AFTER = ("after", "kill")
WINDOWS = {
    DURING: Snapshot(
        interval=7, histograms={"publish_latency|a": Histogram([8_000 * MS])}, counters={"published|a": 20}
    ),
    AFTER: Snapshot(interval=8, counters={"published|a": 1, "published|b": 4}),
    ("after", "kill#2"): Snapshot(interval=9),
}
SECONDS = {DURING: 4.0, AFTER: 0.5, ("after", "kill#2"): 0.0}
LEDGERS = {"kill": LedgerResult(ok=4, lost=1, expected=5, delivered=5), "kill#2": LedgerResult()}
LEDGER = LedgerResult(ok=7, lost=3, duplicate=1, expected=11, delivered=8)


@dataclass
class Spec:
    metric: str
    statistic: str
    operator: str
    value: float
    selector: dict[str, str] = field(default_factory=dict)
    level: str = "fail"

    @property
    def expression(self) -> str:
        return f"{self.statistic} {self.operator} {self.value}"


def judge(spec: Spec, ledger: LedgerResult | None = LEDGER) -> ThresholdResult:
    (result,) = evaluate(
        [spec],
        TOTALS,
        ledger,
        {RUN: 10.0, "steady": 2.0},
        STAGES,
        windows=WINDOWS,
        window_seconds=SECONDS,
        window_ledgers=LEDGERS,
    )
    return result


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (Spec("publish_latency", "max", "<=", 2.0), 2.0),
        (Spec("publish_latency", "p50", "<", 0.06, {"group": "a"}), 0.05),
        (Spec("publish_latency", "p99.9", "<", 3, {"group": "b"}), 2.0),
        (Spec("publish_latency", "mean", "<", 0.051, {"group": "a"}), 0.0505),
        (Spec("publish_latency", "min", ">=", 0.001, {"group": "a"}), 0.001),
        (Spec("publish_latency", "max", "<", 0.01, {"group": "a", "stage": "steady"}), 0.007),
        (Spec("publish_latency", "count", "==", 101), 101),
        (Spec("publish_latency", "max", "<", 0.004, {"node": "n1:8883"}), 0.003),
        (Spec("published", "count", "==", 5, {"group": "b", "node": "n1:8883"}), 5),
        (Spec("publish_latency", "rate", ">", 10), 10.1),
        (Spec("loop_lag", "p99", "<", 0.01), 0.003),
        (Spec("published", "count", "==", 120), 120),
        (Spec("published", "count", "==", 20, {"group": "b"}), 20),
        (Spec("published", "rate", ">=", 5, {"stage": "steady"}), 5.0),
        (Spec("published", "rate", ">=", 12), 12.0),
        (Spec("connect_failures", "count", "==", 0), 0),
        (Spec("delivered", "count", ">", 7), 8),
        (Spec("messages_lost", "count", "<", 4), 3),
        (Spec("publish_latency", "max", "<", 9, {"during": "kill"}), 8.0),
        (Spec("publish_latency", "max", "<", 9, {"during": "kill", "group": "a"}), 8.0),
        (Spec("published", "rate", "==", 5, {"during": "kill"}), 5.0),
        (Spec("publish_latency", "count", "==", 0, {"after": "kill"}), 0),
        (Spec("published", "rate", "==", 8, {"after": "kill", "group": "b"}), 8.0),
        (Spec("messages_lost", "count", "==", 1, {"during": "kill"}), 1),
        (Spec("delivered", "rate", ">", 1, {"during": "kill"}), 1.25),
    ],
)
def test_what_holds(spec: Spec, value: float) -> None:
    result = judge(spec)
    assert (result.verdict, result.reason) == (Verdict.PASS, "")
    assert result.value == pytest.approx(value, rel=1e-3)
    assert result.expression == spec.expression


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("<", (True, False, False)), ("<=", (True, True, False)), ("==", (False, True, False))],
)
def test_operators_at_the_edge(operator: str, holds: tuple[bool, bool, bool]) -> None:
    for measured, expected in zip((121, 120, 119), holds, strict=True):
        assert (judge(Spec("published", "count", operator, measured)).verdict is Verdict.PASS) == expected


def test_what_does_not_hold_says_what_it_was() -> None:
    assert judge(Spec("messages_lost", "count", "==", 0)).reason == (
        "messages_lost: count == 0 does not hold, it was 3"
    )
    result = judge(Spec("publish_latency", "p99", "<", 0.05, {"group": "a"}))
    assert (result.verdict, result.metric) == (Verdict.FAIL, "publish_latency{group: a}")
    assert "99." in result.reason
    assert result.reason.endswith("ms")
    assert judge(Spec("publish_latency", "max", "<", 0.05)).reason.endswith("2.000s")
    assert judge(Spec("published", "rate", ">", 99)).reason.endswith("12.0/s")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (Spec("tls_handshake", "p99", "<", 1), "no samples"),
        (Spec("delivery_latency", "p99", "<", 1), "1 out of range"),
        (Spec("publish_latency", "p99", "<", 1, {"group": "nobody"}), "no samples"),
        (Spec("publish_latency", "p99", "<", 1, {"stage": "later"}), "never reached"),
        (Spec("published", "p99", "<", 1), "has no p99"),
        (Spec("nonsense", "p99", "<", 1), "no such metric"),
        (Spec("publish_latency", "p99", "<", 1, {"node": "a"}), "no samples"),
        (Spec("loop_lag", "p99", "<", 1, {"node": "a"}), "cannot be selected by node"),
        (Spec("publish_latency", "p99", "<", 1, {"during": "stop"}), "the fault never happened"),
        (Spec("published", "count", ">=", 0, {"after": "stop"}), "nothing was measured after the fault"),
        (Spec("published", "count", ">=", 0, {"after": "kill#2"}), "nothing was measured after the fault"),
        (Spec("tls_handshake", "p99", "<", 1, {"during": "kill"}), "no samples"),
        (Spec("messages_lost", "count", "==", 0, {"during": "stop"}), "no ledger of this fault"),
        (Spec("messages_lost", "count", "==", 0, {"during": "kill#2"}), "no delivery was expected"),
        (Spec("messages_lost", "count", "==", 0, {"after": "kill"}), "cannot be selected by after"),
        (Spec("loop_lag", "p99", "<", 1, {"group": "a"}), "cannot be selected by group"),
        (Spec("clients_never_connected", "count", "==", 0), "before that could be told"),
        (Spec("messages_lost", "count", "==", 0, {"group": "a"}), "cannot be selected by group"),
    ],
)
def test_what_was_not_measured_is_invalid_and_never_a_pass(spec: Spec, reason: str) -> None:
    result = judge(spec)
    assert (result.verdict, result.value) == (Verdict.INVALID, None)
    assert reason in result.reason


@pytest.mark.parametrize(
    ("ledger", "reason"),
    [
        (None, "no ledger"),
        (LedgerResult(), "no delivery was expected"),
        (
            LedgerResult(expected=5, unsettled=2, settled=False),
            "2 acknowledged messages were still under way",
        ),
        (LedgerResult(expected=5, unaccounted=4), "4 pairs"),
    ],
)
def test_a_ledger_that_proves_nothing_is_invalid(ledger: LedgerResult | None, reason: str) -> None:
    result = judge(Spec("messages_lost", "count", "==", 0), ledger)
    assert result.verdict is Verdict.INVALID
    assert reason in result.reason


def test_a_broken_promise_is_a_failure_even_when_something_is_unaccounted() -> None:
    ledger = LedgerResult(expected=5, lost=1, unaccounted=4)
    assert judge(Spec("messages_lost", "count", "==", 0), ledger).verdict is Verdict.FAIL


def test_a_windows_own_ledger_may_prove_nothing_though_the_runs_does() -> None:
    unsettled = LedgerResult(expected=5, unsettled=2, settled=False)
    spec = Spec("messages_lost", "count", "==", 0, {"during": "kill"})
    (result,) = evaluate([spec], TOTALS, LedgerResult(expected=9), {}, window_ledgers={"kill": unsettled})
    assert result.verdict is Verdict.INVALID
    assert "still under way" in result.reason
    (result,) = evaluate([spec], TOTALS, unsettled, {}, window_ledgers={"kill": LedgerResult(expected=5)})
    assert result.verdict is Verdict.PASS, "all that was sent during the fault has been settled"


def test_a_rate_needs_time() -> None:
    (result,) = evaluate([Spec("published", "rate", ">", 1)], TOTALS, None, {})
    assert (result.verdict, result.to_dict()["verdict"]) == (Verdict.INVALID, "invalid")


def test_what_does_not_hold_at_level_warn_says_so() -> None:
    broken = judge(Spec("messages_lost", "count", "==", 0, level="warn"))
    assert (broken.verdict, broken.to_dict()["verdict"]) == (Verdict.FAIL, "warn")
    missing = judge(Spec("tls_handshake", "p99", "<", 1, level="warn"))
    assert (missing.verdict, missing.to_dict()["verdict"]) == (Verdict.INVALID, "warn")
    assert judge(Spec("messages_lost", "count", "==", 3, level="warn")).to_dict()["verdict"] == "pass"


def test_what_only_the_runs_end_tells() -> None:
    spec = Spec("clients_never_connected", "count", "<", 3)
    (result,) = evaluate([spec], TOTALS, None, {}, run_counts={"clients_never_connected": 2})
    assert (result.verdict, result.value) == (Verdict.PASS, 2)
