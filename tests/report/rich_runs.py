"""Runs made by hand that strain a report: many faults, many clients, almost nothing, a killed run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loadgen.metrics.broker_sample import BrokerSample, NodeSample
from loadgen.metrics.fault_record import FaultRecord
from loadgen.metrics.fault_window import RunSpan, fault_summary
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.outage import Outage
from tests.report.conftest import NODES, NS, empty_result, full_result, full_timeline, second

if TYPE_CHECKING:
    from loadgen.metrics.snapshot import Snapshot

KILLED = 25.0


def fault(number: int, at: float, timeline: list[Snapshot], *, closed: float = 13.0) -> dict[str, Any]:
    """A node killed at this moment (s), as the coordinator puts it into result.json."""

    def ns(seconds: float) -> int:
        return 1 + round(seconds * NS)  # 0 stands for: not known

    name = f"kill-{number}" if number else "kill"
    node = NODES[number % 3]
    record = FaultRecord(
        number, name, "kill", "busiest", (f"rabbit{number % 3 + 1}",), (node,), ns(at), ns(at + 0.01),
        ns(at + 4), ns(at + 8), ns(at + closed), "recovery", [("killed", f"rabbit{number % 3 + 1}", ns(at))],
    )  # fmt: skip
    outages = []
    for client in range(40):
        made = Outage(client, f"c{client}", "sensors", node, "closed", ns(at - 0.1), ns(at + 0.003))
        made.connack = made.ready = ns(at + 0.2 + client / 50)
        made.first_ack = made.first_delivery = ns(at + 0.3 + client / 40)
        made.ready_node, made.ended, made.session_present = NODES[(number + 1) % 3], "ready", True
        made.attempt_count, made.waited, made.outcomes = 2, NS // 5, {"tcp:refused": 1, "ready:ready": 1}
        outages.append(made)
    end = timeline[-1].interval + 1
    loaded = {each.interval for each in timeline if each.counters.get("published|sensors")}
    run = RunSpan(1, ns(end), lambda moment: float(moment // NS in loaded))
    ledger = LedgerResult(ok=900, duplicate=2, expected=902, delivered=902)
    about = {"outcome": "injected", "planned_at": "steady+15s", "endpoints": [node], "trouble": []}
    return about | fault_summary(record, outages, timeline, run, ledger=ledger)


def with_curves(timeline: list[Snapshot], *quiet: float) -> list[Snapshot]:
    """Give a timeline curves in tenths of a second, silent for 1.5 s from each of these moments on."""
    silent = {tenth for at in quiet for tenth in range(round(at * 10), round(at * 10) + 15)}
    for snapshot in timeline:
        first = snapshot.interval * 10
        sent = snapshot.counters.get("published|sensors", 0)
        tenths = range(first, first + 10)
        for name in ("published", "acknowledged", "received"):
            snapshot.tenths[name] = {tenth: 0 if tenth in silent else sent // 10 for tenth in tenths}
        snapshot.tenths["ready"] = dict.fromkeys(tenths, 300)
        snapshot.gauges["cpu_seconds"] = 0.2 * snapshot.interval
        snapshot.gauges["backlog"] = 30.0 if any(tenth in silent for tenth in tenths) else 0.0
    return timeline


def samples(seconds: int) -> list[BrokerSample]:
    """What three nodes said every five seconds."""
    return [
        BrokerSample(
            at * NS, connections=300, messages_ready=at % 7, messages_unacknowledged=1,
            nodes=tuple(
                NodeSample(
                    f"rabbit{n}@localhost", True, 10**8 + at * n, 10**9, cpu_seconds=at / 2, connections=100
                )
                for n in range(3)
            ),
        )
        for at in range(0, seconds, 5)
    ]  # fmt: skip


def rich_timeline() -> list[Snapshot]:
    """The good run's seconds with a kill, errors, phases of connections, and the generator's usage."""
    timeline = with_curves(full_timeline(), KILLED)
    for snapshot in timeline:
        if snapshot.stage == "connect":
            for place, name in enumerate(("tcp_connect", "tls_handshake", "mqtt_connect", "subscribe_time")):
                samples = [int(1e6 * (place + 1) * (1 + step / 75)) for step in range(75)]
                snapshot.histograms[f"{name}|sensors"] = Histogram(samples)
    struck = timeline[int(KILLED)]
    struck.counters |= {
        "disconnects|sensors": 100,
        "connect_failures|sensors": 12,
        "publish_errors|sensors": 17,
        "late|sensors": 40,
    }
    return timeline


def rich_result() -> dict[str, Any]:
    """The result of a run in which everything happened."""
    result = full_result()
    result["faults"] = [fault(0, KILLED, rich_timeline())]
    result["stages"][1]["load"] = result["stages"][2]["load"] = "100%"
    result["codes"]["puback"] = {"0x83": 17}
    result["warnings"] = ["17 publishes were not taken or found no subscriber"]
    result["environment"]["limits"] = {"open_files": 1024, "local_ports": 28_232, "memory": 4_000_000_000}
    return result


def one_message() -> tuple[dict[str, Any], list[Snapshot]]:
    """A run of one second with one message."""
    result = empty_result()
    result["totals"].update(clients=1, connected=1, published=1, acknowledged=1)
    return result, [second(0, "steady", published=1, fan_out=1, connected=1)]


def ten_thousand() -> tuple[dict[str, Any], list[Snapshot]]:
    """10,000 clients who send a great many messages."""
    result = full_result()
    result["totals"].update(clients=10_000, connected=10_000, published=1_234_567_890)
    timeline = full_timeline()
    for snapshot in timeline:
        for name, value in list(snapshot.gauges.items()):
            if name.startswith("connected"):
                snapshot.gauges[name] = value * 10_000 / 300
        for name in snapshot.counters:
            snapshot.counters[name] *= 200
    return result, timeline


def twenty_faults(length: int = 460) -> tuple[dict[str, Any], list[Snapshot]]:
    """A run of `length` seconds, messages throughout, and twenty faults evenly spread over it."""
    gap = length // 21
    moments = [float(gap * (place + 1)) for place in range(20)]
    # The same few seconds over and over: what is drawn weighs the same, and making them takes the time.
    made = [second(n, "steady", published=20, fan_out=1, connected=300) for n in range(20)]
    timeline = with_curves(
        [
            replace(
                made[n % 20], interval=n, start_ns=n * NS, end_ns=(n + 1) * NS, tenths={},
                gauges={**made[n % 20].gauges},
            )
            for n in range(length)
        ],
        *moments,
    )  # fmt: skip
    result = full_result()
    result["duration"] = float(length)
    result["stages"] = [
        {
            "name": "steady", "kind": "hold", "started_at_s": 0.0, "duration": float(length), "record": True,
            "load": "100%",
        }
    ]  # fmt: skip
    result["faults"] = [fault(place, at, timeline) for place, at in enumerate(moments)]
    return result, timeline


def killed() -> tuple[dict[str, Any], list[Snapshot]]:
    """What is made of a run that was killed: no ledger, no thresholds, a stage without an end."""
    result = empty_result()
    result.update(
        reasons=["the run was killed: this is what it had written, and what was under way is unknown"],
        interrupted=True, duration=30.0, ledger={}, thresholds=[],
        stages=[
            {"name": "connect", "kind": "connect", "record": True, "started_at_s": 0.0, "duration": None},
            {"name": "warm-up", "kind": "hold", "record": True, "started_at_s": 4.0, "duration": None},
        ],
    )  # fmt: skip
    result["totals"].update(clients=300, connected=300, published=5_000, acknowledged=5_000)
    result["generator"].update(cpu=None)
    return result, full_timeline()[:30]
