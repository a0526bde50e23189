"""Faults in the reports, from what `fault_summary` really gives."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.live.lines import plain_line
from loadgen.metrics.fault_record import FaultRecord
from loadgen.metrics.fault_window import RunSpan, fault_summary
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.outage import Outage
from loadgen.report import text
from loadgen.report.fault_curves import MAX_POINTS, fault_curves
from loadgen.report.faults import HEADINGS, fault_rows
from loadgen.report.schema import RESULT_SCHEMA
from tests.live.states import STATE
from tests.report.conftest import NODES, NS, full_timeline
from tests.report.test_html import HOSTILE, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.metrics.snapshot import Snapshot

KILLED, HEALED, CLOSED = 25.0, 35.0, 38.0


def at(seconds: float) -> int:
    return 1 + round(seconds * NS)  # 0 stands for: not known


def timeline() -> list[Snapshot]:
    """The seconds of the good run, with a second and a half of silence after the kill."""
    seconds = full_timeline()
    for snapshot in seconds:
        first = snapshot.interval * 10
        acks = snapshot.counters["acknowledged|sensors"]
        quiet = range(250, 265)
        for name in ("published", "acknowledged", "received"):
            snapshot.tenths[name] = {
                tenth: 0 if tenth in quiet else acks // 10 for tenth in range(first, first + 10)
            }
        snapshot.tenths["ready"] = dict.fromkeys(range(first, first + 10), 300)
        if snapshot.interval == 26:
            snapshot.counters["puback_codes:0x83|sensors"] = 17
    return seconds


def outage(client: int, **changes: Any) -> Outage:  # noqa: ANN401
    made = Outage(client, f"c{client}", "sensors", NODES[1], "closed", at(KILLED - 0.1), at(KILLED + 0.003))
    made.connack = made.ready = at(KILLED + 0.4 + client / 100)
    made.first_ack = at(KILLED + 0.6 + client / 100)
    made.ready_node, made.ended, made.session_present = NODES[2], "ready", True
    made.attempt_count, made.waited = 2, NS // 5
    made.outcomes = {"tcp:refused": 1, "ready:ready": 1}
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def kill() -> dict[str, Any]:
    """The killing of a node, as the coordinator puts it into result.json."""
    record = FaultRecord(
        0, "kill", "kill", "busiest", ("rabbit2",), (NODES[1],), at(KILLED), at(KILLED + 0.01),
        at(HEALED - 6), at(HEALED), at(CLOSED), "recovery", [("killed", "rabbit2", at(KILLED))],
    )  # fmt: skip
    outages = [outage(n) for n in range(99)] + [
        outage(99, cause="reset", outcomes={"connack:refused:0x83": 4})
    ]
    run = RunSpan(1, at(60), lambda ns: float(10 <= ns / NS < 50))
    ledger = LedgerResult(ok=900, duplicate=2, expected=902, delivered=902)
    about = {"outcome": "injected", "planned_at": "steady+15s", "endpoints": [NODES[1]], "trouble": []}
    return about | fault_summary(record, outages, timeline(), run, ledger=ledger)


NOT_REACHED: dict[str, Any] = {
    "number": 1,
    "name": "late",
    "kind": "stop",
    "target": "one",
    "nodes": [],
    "outcome": "not reached",
    "trouble": ["was not injected: stage drain ended before drain+10s"],
    **dict.fromkeys(("injected_at", "healed_at", "recovered_at", "affected", "window", "ledger")),
}


def test_a_fault_is_one_row_and_its_sentences(kill: dict[str, Any]) -> None:
    (row,) = fault_rows({"faults": [kill]})
    cells = dict(zip(HEADINGS, row.cells, strict=True))
    assert cells["fault"] == "kill"
    assert cells["node"] == "rabbit2"
    assert cells["affected"] == "100"
    assert cells["noticed by"] == "closed 99, reset 1"
    assert cells["detect p50/max"] == "3.00 ms/3.00 ms"
    assert cells["reconnect p50/p99/max"].endswith("/1.39 s")
    assert cells["back after"] == "1.59 s"
    assert cells["fleet down"] == "1.50 s"
    assert cells["lost/dup"] == "0/2"
    assert not row.bad
    notes = "\n".join(row.notes)
    for words in (
        "injected at 25.000s, healed at 35.000s, all back at 26.590s, window closed at 38.000s",
        "acknowledged down from 25.0s to 26.5s, seen in bins of 0.1 s; at worst 0 % of",
        "100 resumed, 0 begun anew",
        f"moved: {NODES[1]} → {NODES[2]} 100",
        "200 attempts to connect, at most 2 in one outage; waited in between: p50 200 ms",
        "PUBACK 0x83 (implementation specific error) 17 times, from 26s to 27s",
        "CONNACK 0x83 (implementation specific error) 4 times",
        "TCP connection: connection refused, 99 times",
    ):
        assert words in notes


def test_what_is_no_failure_is_named(kill: dict[str, Any]) -> None:
    kill["redelivered"] = {"late": 12, "dup_flagged": 7, "duplicates": 0, "max_latency": 60.2}
    kill["slow_connacks"] = {"count": 3, "max": 63.4}
    kill |= {"cut_again": 5, "not_back": 2, "noticed_by": {"disconnect:0x8E": 1}}
    notes = "\n".join(fault_rows({"faults": [kill]})[0].notes)
    for words in (
        "12 messages were redelivered 30 s or more after they were due, the latest 1m 00s: late is not lost",
        "7 first deliveries carried the DUP flag: no duplicates",
        "3 CONNECTs waited over 10 s for their CONNACK, at most 1m 03s",
        "5 clients were cut more than once",
        "2 times a client was not back when the run ended",
        "1 connections were taken over",
    ):
        assert words in notes


def test_losses_and_trouble_are_marked(kill: dict[str, Any]) -> None:
    kill["ledger"]["lost"] = 4
    kill["recovered_at"] = None
    first, second = fault_rows({"faults": [kill, NOT_REACHED]})
    assert first.bad
    assert "never" in first.cells
    assert first.cells[-1] == "4/2"
    assert second.bad
    assert second.troubles == ("was not injected: stage drain ended before drain+10s",)
    assert set(second.cells[2:]) == {"\N{EN DASH}"}


def test_the_text_report_has_them(good_result: dict[str, Any], kill: dict[str, Any]) -> None:
    good_result["faults"] = [kill, NOT_REACHED]
    lines = text.render(good_result).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("FAULTS"))
    assert lines[head].split("  ")[0] == "FAULTS"
    assert lines[head].index("affected") + len("affected") == lines[head + 1].index("100") + 3
    assert "    ! was not injected: stage drain ended before drain+10s" in lines
    assert any(line.startswith("LEDGER") for line in lines[:head])


def test_names_of_faults_cannot_move_the_cursor(good_result: dict[str, Any], kill: dict[str, Any]) -> None:
    kill["name"] = kill["target"] = "\x1b[2Jx"
    kill["trouble"] = ["\x1b[2J"]
    good_result["faults"] = [kill]
    assert "\x1b" not in text.render(good_result)


def test_they_fit_the_schema(good_result: dict[str, Any], kill: dict[str, Any]) -> None:
    good_result["faults"] = [kill, NOT_REACHED]
    good_result["outages_outside_faults"] = {"count": 0, "first": []}
    jsonschema.validate(json.loads(json.dumps(good_result)), RESULT_SCHEMA)
    unknown = kill.keys() - RESULT_SCHEMA["properties"]["faults"]["items"]["properties"].keys()
    assert not unknown, "each key is documented"


def test_the_page_has_rows_details_and_charts(
    make_run: Callable[..., Any], good_result: dict[str, Any], kill: dict[str, Any]
) -> None:
    kill["name"] = f"kill {HOSTILE}"
    good_result["faults"] = [kill, NOT_REACHED]
    page = read(make_run(good_result, timeline()))
    for words in (
        "Faults", "closed 99, reset 1", "loss noticed → CONNACK", "The fleet around kill",
        "How long clients were away in kill", "rabbit2 was killed (SIGKILL) 25s into the run",
        "100 of 300 clients lost their connection",
        "healed at 35.000s", "was not injected: stage drain ended before drain+10s", "acknowledged",
        "publish latency p99", "killed rabbit2 at 25.000s",
    ):  # fmt: skip
        assert words in page.text
    assert "alert(1)" in page.text


def test_errors_are_drawn_when_there_are_any(make_run: Callable[..., Any]) -> None:
    assert "Errors per second" not in read(make_run()).text
    seconds = full_timeline()
    seconds[30].counters["disconnects|sensors"] = 100
    assert "Errors per second" in read(make_run(None, seconds)).text


def test_curves_are_in_tenths_and_stay_small(kill: dict[str, Any]) -> None:
    (curve,) = fault_curves(timeline(), [kill])
    assert curve.width == 0.1
    assert curve.columns["time"][0] == pytest.approx(KILLED - 10)
    silent = [
        time
        for time, acks in zip(curve.columns["time"], curve.columns["acknowledged"], strict=True)
        if not acks
    ]
    assert (silent[0], silent[-1], len(silent)) == (25.0, 26.4, 15)
    long = {**kill, "window": {"start": 0.0, "end": 3600.0, "closed_by": "end"}}
    (wide,) = fault_curves(timeline(), [long])
    assert len(wide.columns["time"]) <= MAX_POINTS
    assert wide.width > 1
    assert fault_curves(timeline(), [NOT_REACHED]) == []


def test_open_faults_are_shown_while_they_last() -> None:
    line = plain_line(replace(STATE, faults=("kill 127.0.0.2:8883 for 3s, not healed, 12 clients away",)))
    assert "[fault kill 127.0.0.2:8883 for 3s, not healed, 12 clients away]" in line
