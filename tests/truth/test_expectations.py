"""Whole runs in which brokers are to refuse clients: a pass only if they do, just so and in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.loop import run_on_fast_loop
from loadgen.report.html import write_html
from loadgen.report.text import render
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from mqtt5 import ConnectPacket

    from tests.truth.bench import Bench, Finished

STAGES = [
    {"name": "connect", "connect": "200/s"},
    {"name": "steady", "hold": "300ms"},
    {"name": "drain", "drain": "5s"},
]
GOOD = {"clients": 2, "publish": {"topic": "t/{index}", "qos": 1, "rate": "20/s"}}
GOOD |= {"subscribe": {"filter": "t/+", "qos": 1}, "expect": "accepted"}


def strict(_number: int, packet: ConnectPacket) -> int:
    return {"unknown": 0x86, "other": 0x85}.get(packet.client_id.partition("-")[0], 0)


def run(bench: Bench, groups: dict[str, Any], workers: int = 1, **broker: Any) -> Finished:  # noqa: ANN401
    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls(), refuse=strict, **broker) as fake:
            path = bench.scenario(f"mqtts://127.0.0.1:{fake.port}", groups, STAGES)
            return await bench.run(path, workers=workers)

    return run_on_fast_loop(main())


@pytest.mark.parametrize("workers", [1, 2])
def test_refusals_as_expected_are_a_pass_and_a_table(bench: Bench, workers: int) -> None:
    groups = {
        "good": GOOD,
        "unknown": {"clients": 3, "expect": {"connack": 0x86}},
        "deaf": {"clients": 1, "subscribe": {"filter": "no", "qos": 1}, "expect": {"suback": 0x87}},
    }
    finished = run(bench, groups, workers, suback=lambda name: 0x87 if name == "no" else None)
    result = finished.result
    assert (finished.code, result["reasons"]) == (0, [])
    assert [(row["case"], row["got"], row["verdict"]) for row in result["expectations"]] == [
        ("good", {"accepted": 2}, "pass"),
        ("unknown", {"CONNACK 0x86": 3}, "pass"),
        ("deaf", {"SUBACK 0x87": 1}, "pass"),
    ]
    totals = result["totals"]
    assert (totals["clients"], totals["connected"], totals["refused"]) == (6, 2, 4)
    assert totals["delivered"] == totals["expected_deliveries"] > 0
    assert result["codes"]["connect_errors"] == result["codes"]["disconnect"] == {}
    text = render(result)
    assert "✓ unknown  CONNACK 0x86  CONNACK 0x86 x3" in text
    assert "were not connected" not in text
    page = write_html(finished.run).read_text(encoding="utf-8")
    assert '<th scope="row">unknown</th><td class="words">CONNACK 0x86</td>' in page


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ({"clients": 2, "expect": {"connack": 0x86}}, "gate: expected CONNACK 0x86, got accepted x2"),
        (
            {"clients": 1, "client_id": "other-{index}", "expect": {"connack": 0x86}},
            "gate: expected CONNACK 0x86, got CONNACK 0x85 x1",
        ),
        (
            {"clients": 1, "client_id": "unknown-{index}", "expect": "accepted"},
            "gate: expected accepted, got CONNACK 0x86 x1",
        ),
        ({"clients": 1, "expect": {"disconnect": 0x8E}}, "gate: expected DISCONNECT 0x8E, got accepted x1"),
    ],
)
def test_any_other_answer_fails_the_run_and_names_the_group(
    bench: Bench, group: dict[str, Any], reason: str
) -> None:
    finished = run(bench, {"good": GOOD, "gate": group})
    assert finished.code == 99
    assert finished.result["reasons"][0] == reason
    assert finished.result["expectations"][1]["verdict"] == "fail"


def test_an_answer_that_is_too_late_fails_the_run(bench: Bench) -> None:
    group = {"clients": 1, "client_id": "unknown-0", "expect": {"connack": 0x86, "within": "100ms"}}
    finished = run(bench, {"gate": group}, connack_delay_s=1.0)
    assert finished.code == 99
    assert finished.result["reasons"] == [
        "gate: expected CONNACK 0x86, got no answer within 0.1 s x1",
    ]


def test_a_run_of_refusals_alone_goes_through_all_its_stages(bench: Bench) -> None:
    finished = run(bench, {"unknown": {"clients": 1, "expect": {"connack": 0x86}}})
    assert finished.code == 0
    assert [stage["name"] for stage in finished.result["stages"]] == ["connect", "steady", "drain"]
