"""From outages, intervals and a record to what result.json says of a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadgen.metrics.fault_record import FaultRecord
from loadgen.metrics.fault_window import RunSpan, attribute, fault_summary
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.outage import Outage
from loadgen.metrics.snapshot import Snapshot

ORIGIN = 1_000_000_000_000
SECOND = 1_000_000_000
A, B, C = "127.0.0.1:8883", "127.0.0.2:8883", "127.0.0.3:8883"


def at(seconds: float) -> int:
    return ORIGIN + round(seconds * SECOND)


def record(number: int = 0, injected: float = 20, closed: float = 30, **more: Any) -> FaultRecord:  # noqa: ANN401
    settings: dict[str, Any] = {
        "kind": "kill",
        "target": "busiest",
        "nodes": ("node-1",),
        "endpoints": (A,),
        "injected_done_ns": at(injected) + 1000,
        "healing_ns": at(closed - 2),
        "healed_ns": at(closed - 1),
        "closed_ns": at(closed),
        "closed_by": "recovery",
    } | more
    return FaultRecord(number, f"kill-{number}", injected_ns=at(injected), **settings)


def outage(client: int, noticed: float, **more: Any) -> Outage:  # noqa: ANN401
    settings: dict[str, Any] = {
        "connack": at(noticed + 0.5),
        "session_present": True,
        "ready": at(noticed + 0.5),
        "ready_node": B,
        "ended": "ready",
        "attempt_count": 2,
        "waited": SECOND // 4,
        "outcomes": {"tcp:refused": 1, "ready:ready": 1},
    } | more
    node = settings.pop("node", A)
    cause = settings.pop("cause", "closed")
    return Outage(client, f"c{client}", "g", node, cause, at(noticed - 0.2), at(noticed), **settings)


def interval(second: int, *, acks: int = 100, **more: Any) -> Snapshot:  # noqa: ANN401
    tenths = {"acknowledged": {second * 10 + step: acks // 10 for step in range(10)}}
    settings: dict[str, Any] = {
        "interval": second,
        "start_ns": at(second),
        "end_ns": at(second + 1),
        "stage": "steady",
        "tenths": tenths,
        "histograms": {"publish_latency|g": Histogram([10_000_000])},
    } | more
    return Snapshot(**settings)


RUN = RunSpan(ORIGIN, at(60), lambda _at: 1.0)


def timeline(**at_second: dict[str, Any]) -> list[Snapshot]:
    return [interval(second, **at_second.get(f"s{second}", {})) for second in range(60)]


def test_the_times_of_a_fault() -> None:
    made = fault_summary(record(steps=[("killed", "node-1", at(20))]), [outage(1, 20.1)], timeline(), RUN)
    assert (made["injected_at"], made["healing_at"], made["healed_at"]) == (20.0, 28.0, 29.0)
    assert made["window"] == {"start": 20.0, "end": 30.0, "closed_by": "recovery"}
    assert made["recovered_at"] == pytest.approx(20.6)
    assert made["recovery"] == pytest.approx(0.6)
    assert made["steps"] == [{"what": "killed", "node": "node-1", "at": 20.0}]
    never_done = fault_summary(record(healed_ns=0, healing_ns=0, closed_ns=0, closed_by="end"), [], [], RUN)
    assert (never_done["healed_at"], never_done["window"]["end"]) == (None, 60.0)
    json.dumps(made)
    json.dumps(never_done)


def test_what_the_clients_lived_through() -> None:
    outages = [
        outage(1, 20.1, suback=at(20.7), first_ack=at(20.8), first_delivery=at(21.1), session_present=False),
        outage(2, 20.3, cause="reset", ready_node=C),
        outage(2, 24.0, node=C, cause="disconnect:0x8B", ready_node=B),
        outage(
            3,
            20.2,
            outcomes={"connack:refused:0x83": 3, "connack:timeout": 2, "suback:closed": 1, "ready:ready": 1},
            slow_connacks=2,
            slowest_connack=63 * SECOND,
            attempt_count=7,
        ),
    ]
    made = fault_summary(record(), outages, timeline(), RUN)
    assert (made["affected"], made["outages"], made["cut_again"], made["not_back"]) == (3, 4, 1, 0)
    assert made["noticed_by"] == {"closed": 2, "reset": 1, "disconnect:0x8B": 1}
    assert made["connack_codes"] == {"0x00": 5, "0x83": 3}
    assert made["connack_timeouts"] == 2
    assert made["errors"] == {"tcp:refused": 3, "connack:timeout": 2, "suback:closed": 1}
    assert made["slow_connacks"] == {"count": 2, "max": pytest.approx(63.0)}
    assert made["sessions"] == {"present": 3, "gone": 1}
    assert made["attempts"] == {"total": 13, "p50": 2, "p90": 7, "max": 7}
    assert made["backoff"]["total"] == pytest.approx(1.0)
    assert made["moved"][0] == {"from": A, "to": B, "clients": 2}
    assert {"from": C, "to": B, "clients": 1} in made["moved"]
    assert made["detect"]["count"] == 4
    assert made["detect"]["min"] == pytest.approx(0.1)
    assert made["silence"]["max"] == pytest.approx(0.2, rel=0.01)
    assert made["reconnect"]["p50"] == pytest.approx(0.5, rel=0.01)
    assert made["resubscribe"]["count"] == 1
    assert made["resubscribe"]["max"] == pytest.approx(0.1, rel=0.01)
    assert made["first_ack"]["max"] == pytest.approx(0.7, rel=0.01)
    assert made["first_delivery"]["max"] == pytest.approx(1.0, rel=0.01)
    assert Histogram.decode(made["histograms"]["ready"]).count == 4


def test_a_client_that_never_came_back_means_no_recovery() -> None:
    away = outage(1, 20.1, connack=0, ready=0, ready_node="", ended="run-over", session_present=None)
    made = fault_summary(record(), [away, outage(2, 20.2)], timeline(), RUN)
    assert (made["recovered_at"], made["recovery"], made["not_back"]) == (None, None, 1)
    gave_up = fault_summary(record(), [outage(1, 20.1, ended="gave-up")], timeline(), RUN)
    assert (gave_up["recovered_at"], gave_up["gave_up"]) == (None, 1)


def test_the_rate_around_a_fault() -> None:
    quiet = {"acks": 0}
    made = fault_summary(record(), [outage(1, 20.1)], timeline(s21=quiet, s22=quiet, s23=quiet), RUN)
    assert made["rate"]["metric"] == "acknowledged"
    assert made["rate"]["baseline"] == pytest.approx(100)
    assert made["rate"]["baseline_seconds"] == 20.0
    assert made["rate"]["during"] == pytest.approx(70, rel=0.02)
    assert made["rate"]["after"] == pytest.approx(100)
    assert made["outage"]["first_low_at"] == 21.0
    assert made["outage"]["last_low_end_at"] == 24.0
    assert made["outage"]["seconds"] == pytest.approx(3.0)
    assert made["recovered_at"] == 24.0, "the clients were back before the rate was"
    lasting = {f"s{second}": quiet for second in range(25, 60)}
    still = fault_summary(record(), [], timeline(**lasting), RUN)
    assert (still["outage"]["lasting"], still["recovered_at"]) == (True, None)


def test_codes_by_second_and_latencies_before_during_and_after() -> None:
    slow = {"histograms": {"publish_latency|g": Histogram([3 * SECOND])}}
    refused = {"counters": {"puback_codes:0x83|g": 4, "puback_codes:0x10|g": 1}}
    made = fault_summary(
        record(),
        [],
        timeline(s21=slow | refused, s23={"counters": {"puback_codes:0x83|h": 2}}, s40=refused),
        RUN,
    )
    assert made["codes"]["puback_codes"] == {"0x10": 1, "0x83": 6}
    assert made["by_second"]["puback_codes"] == {"0x83": [[21, 4], [23, 2]], "0x10": [[21, 1]]}
    assert made["latency"]["before"]["publish"]["max"] == pytest.approx(0.01)
    assert made["latency"]["during"]["publish"]["max"] == pytest.approx(3.0)
    assert made["latency"]["after"]["publish"]["max"] == pytest.approx(0.01)
    assert made["latency"]["during"]["delivery"]["count"] == 0


def test_late_redeliveries_count_until_the_next_fault() -> None:
    late = {
        "counters": {"late_redeliveries|g": 3, "dup_flagged|g": 5, "duplicates|g": 1},
        "histograms": {"redelivery_latency|g": Histogram([60 * SECOND])},
    }
    line = timeline(s45=late)
    alone = fault_summary(record(), [], line, RUN)["redelivered"]
    assert (alone["late"], alone["dup_flagged"], alone["duplicates"]) == (3, 5, 1)
    assert alone["max_latency"] == pytest.approx(60.0)
    second = record(1, 40, 50)
    assert fault_summary(record(), [], line, RUN, others=[second])["redelivered"]["late"] == 0
    assert fault_summary(second, [], line, RUN, others=[record(), second])["redelivered"]["late"] == 3


def test_the_window_of_another_fault_is_no_baseline() -> None:
    quiet = {f"s{second}": {"acks": 0} for second in range(11, 14)}
    first, second = record(0, 10, 15), record(1, 20, 25)
    made = fault_summary(second, [], timeline(**quiet), RUN, others=[first, second])
    assert made["rate"]["baseline_seconds"] == pytest.approx(4.9)
    assert made["rate"]["baseline"] == pytest.approx(100)


def test_the_ledger_of_the_window_is_passed_on() -> None:
    made = fault_summary(record(), [], [], RUN, ledger=LedgerResult(ok=5, lost=1))
    assert (made["ledger"]["ok"], made["ledger"]["lost"]) == (5, 1)
    assert fault_summary(record(), [], [], RUN)["ledger"] is None


def test_an_outage_belongs_to_the_open_window() -> None:
    first, second = record(0, 10, 15), record(1, 20, 25)
    outages = [outage(client, when) for client, when in enumerate((9, 11, 17, 20, 24, 26))]
    found, outside = attribute(outages, [second, first])
    assert [each.client for each in found[0]] == [1]
    assert [each.client for each in found[1]] == [3, 4]
    assert [each.client for each in outside] == [0, 2, 5]


def test_of_several_open_windows_the_nodes_own_wins_and_else_the_latest() -> None:
    first = record(0, 10, 0, closed_ns=0)
    second = record(1, 20, 0, closed_ns=0, nodes=("node-2",), endpoints=(B,))
    outages = [outage(0, 21), outage(1, 21, node=B), outage(2, 21, node=C), outage(3, 15, node=B)]
    found, outside = attribute(outages, [first, second, FaultRecord(2, "later", "kill")])
    assert [each.client for each in found[0]] == [0, 3]
    assert [each.client for each in found[1]] == [1, 2]
    assert (found[2], outside) == ([], [])


def test_in_a_rolling_restart_detection_counts_from_the_nodes_own_turn() -> None:
    steps = [
        ("stopping", "node-1", at(20)),
        ("serving", "node-1", at(24)),
        ("stopping", "node-2", at(29)),
        ("serving", "node-2", at(33)),
    ]
    tour = record(
        kind="rolling-restart", nodes=("node-1", "node-2"), endpoints=(A, B), closed=40, steps=steps
    )
    outages = [outage(1, 20.1), outage(1, 29.3, node=B), outage(2, 29.2, node=C), outage(3, 25, node=A)]
    made = fault_summary(tour, outages, timeline(), RUN)
    assert made["cut_again"] == 1
    assert made["detect"]["min"] == pytest.approx(0.1)
    assert made["detect"]["max"] == pytest.approx(5.0, rel=0.01), "cut long after its node had gone"
    assert made["detect"]["count"] == 4
