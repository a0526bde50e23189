"""A small run folder made by hand: two workers, two groups, three nodes, a warm-up and a fault.

`result.json` is made from the very samples that are in the snapshots, so what reads one can be held against
the other.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from loadgen.metrics.catalog import HISTOGRAMS
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot, merge_time
from loadgen.metrics.summary import summarise
from loadgen.store import RunWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NS = 1_000_000_000
ORIGIN = 7 * NS + 123
"""The run's start on the monotonic clock."""
NODES = ("127.0.0.1:8883", "127.0.0.2:8883", "127.0.0.3:8883")
STAGES = (
    ("connect", "connect", 0, 2, True),
    ("warm-up", "hold", 2, 4, False),
    ("steady", "hold", 4, 12, True),
    ("drain", "drain", 12, 13, True),
)
"""Name, kind, start and end in seconds, whether recorded."""
KILL = (6.0, 9.0)
"""The window of the fault."""
RATE = 20
"""Messages a worker publishes in a second."""
FAN_OUT = 2
CLIENTS = 12
"""Of the group `devices`; there are two dashboards."""
SCENARIO = "name: made\ndescription: by hand\ngroups:\n  devices: {clients: 12}\n  dashboards: {clients: 2}\n"


def make_run(folder: Path, *, killed: bool = False, change: Mapping[str, Any] | None = None) -> Path:
    """Write the run below `folder` and give its own folder; a killed one has no result.

    Args:
        folder: where runs are.
        killed: whether it ended before it could write a result.
        change: keys of result.json to replace.
    """
    plan = {
        "scenario": "made",
        "seed": 3,
        "client": "native",
        "workers": 2,
        "clients": CLIENTS + 2,
        "groups": {"devices": {"clients": CLIENTS}, "dashboards": {"clients": 2}},
    }
    writer = RunWriter(folder, "made", SCENARIO, plan)
    parts = snapshots()
    for part in parts:
        writer.snapshot(part.to_json())
    for event in events():
        writer.event(event)
    if killed:
        writer.flush()
        # As the system does it: what was written stays, the lock and the files are let go.
        writer._snapshots.close()
        writer._events.close()
    else:
        writer.finish(result(parts, writer.id) | dict(change or {}))
    return writer.path


def snapshots() -> list[Snapshot]:
    """Every worker's seconds, in the order of their arrival."""
    return [
        _second(worker, second, name)
        for name, _, start, end, _ in STAGES
        for second in range(start, end)
        for worker in (0, 1)
    ]


def _second(worker: int, second: int, stage: str) -> Snapshot:
    draw = random.Random(100 * second + worker)
    slow = 40 if KILL[0] <= second + 0.5 < KILL[1] else 1

    def samples(count: int, milliseconds: float) -> Histogram:
        return Histogram([int(draw.lognormvariate(0, 0.4) * milliseconds * 1e6) for _ in range(count)])

    publishing = stage in {"warm-up", "steady"}
    published = RATE if publishing else 0
    histograms = {"loop_lag|": samples(10, 0.1)}
    if stage == "connect":
        histograms |= {
            f"{metric}|devices": samples(3, scale)
            for metric, scale in (
                ("tcp_connect", 0.2),
                ("tls_handshake", 3),
                ("mqtt_connect", 2),
                ("connect_time", 6),
            )
        }
    if stage == "steady":
        histograms |= {
            "publish_latency|devices": samples(published, 4 * slow),
            "publish_service_time|devices": samples(published, 3 * slow),
            "delivery_latency|dashboards": samples(published * FAN_OUT, 5 * slow),
            "send_lag|devices": samples(published, 0.3),
        }
    counters = {
        "published|devices": published,
        "acknowledged|devices": published,
        "received|dashboards": published * FAN_OUT,
        "bytes_sent|devices": published * 300,
        "bytes_received|devices": published * 60,
    }
    if stage == "connect":
        counters |= {"connects|devices": 3, "connect_attempts|devices": 3, "connack_codes:0x00|devices": 3}
    if second == int(KILL[0]):
        counters |= {"disconnects|devices": 2, "disconnect_codes:reset|devices": 2}
    connected = 3 * (second + 1) if stage == "connect" else CLIENTS // 2
    gauges: dict[str, float] = {
        "connected|devices": float(connected),
        "connected|dashboards": 1.0,
        "ready|devices": float(connected),
        "ready|dashboards": 1.0,
        "rss": 30e6,
    }
    gauges |= {f"connected_node|{node}": float((connected + place) // 3) for place, node in enumerate(NODES)}
    return Snapshot(
        worker, second, ORIGIN + second * NS, ORIGIN + (second + 1) * NS, stage, histograms, counters, gauges
    )


def events() -> list[dict[str, Any]]:
    """The lines of events.jsonl."""

    def fault(phase: str, at: float, **more: object) -> dict[str, Any]:
        return {
            "ns": ORIGIN + int(at * NS),
            "event": "fault",
            "fault": "kill",
            "number": 0,
            "kind": "kill",
            "phase": phase,
            "nodes": [NODES[1]],
            **more,
        }

    stages = [
        {"ns": ORIGIN + start * NS, "event": "stage", "stage": name, "kind": kind}
        for name, kind, start, *_ in STAGES
    ]
    outage = {
        "ns": ORIGIN + int(6.25 * NS),
        "event": "outage",
        "client_id": "device-1",
        "group": "devices",
        "node": NODES[1],
        "cause": "reset",
        "attempts": 2,
        "last_attempts": [],
    }
    faults = [
        fault("injecting", 6.0),
        fault("killed", 6.01, node="rabbit2"),
        fault("injected", 6.02),
        outage,
        fault("healing", 7.0),
        fault("healed", 8.0),
        fault("closed", 9.0, by="recovery"),
    ]
    return [*stages[:3], *faults, stages[3]]


def result(parts: list[Snapshot], run_id: str) -> dict[str, Any]:
    """The content of result.json, made from the snapshots."""
    total = merge_time(parts)
    published = total.count("published")
    ledger = {
        "ok": published * FAN_OUT - 3,
        "duplicate": 2,
        "lost": 1,
        "recovered": 0,
        "indeterminate": 0,
        "unexpected": 0,
        "reordered": 0,
        "not_attempted": 0,
        "expected": published * FAN_OUT,
        "delivered": published * FAN_OUT - 1,
        "pairs": 24,
        "unaccounted": 0,
        "settled": True,
        "worst": [{"publisher": 3, "subscriber": 1, "lost": 1, "missing": [[5, 6]]}],
    }
    metrics = {name: summarise(total.select(name)) for name in (*HISTOGRAMS, "loop_lag")}
    lost = "messages_lost: count == 0 does not hold, it was 1"
    return {
        "schema_version": 1,
        "loadgen_version": "0.1.0",
        "verdict": "fail",
        "exit_code": 99,
        "reasons": [lost],
        "scenario": {"name": "made", "description": "by hand", "file": "made.yaml", "seed": 3},
        "run_id": run_id,
        "started_at": "2026-01-02T03:04:05+00:00",
        "duration": 13.0,
        "interrupted": False,
        "totals": {
            "clients": CLIENTS + 2,
            "connected": CLIENTS + 2,
            "published": published,
            "acknowledged": published,
            "delivered": ledger["delivered"],
            "expected_deliveries": ledger["expected"],
            "received": published * FAN_OUT + 1,
            "bytes_sent": total.count("bytes_sent"),
            "bytes_received": total.count("bytes_received"),
        },
        "ledger": ledger,
        "metrics": metrics,
        "groups": {
            "devices": {
                "clients": CLIENTS,
                "published": published,
                "acknowledged": published,
                "delivered": 0,
                "metrics": {"publish_latency": metrics["publish_latency"]},
            },
            "dashboards": {
                "clients": 2,
                "published": 0,
                "acknowledged": 0,
                "delivered": published * FAN_OUT + 1,
                "metrics": {"delivery_latency": metrics["delivery_latency"]},
            },
        },
        "stages": [
            {
                "name": name,
                "kind": kind,
                "started_at_s": float(start),
                "duration": float(end - start),
                "record": record,
            }
            for name, kind, start, end, record in STAGES
        ],
        "thresholds": [
            threshold("publish_latency", "p99 < 1s", "p99", metrics["publish_latency"]["p99"]),
            threshold("publish_latency{during: kill}", "p99 < 2s", "p99", 0.25),
            threshold("messages_lost", "count == 0", "count", 1.0, "fail", reason=lost, default=True),
            threshold("send_lag", "p99 <= 100ms", "p99", metrics["send_lag"]["p99"], default=True),
        ],
        "expectations": [],
        "codes": {"connack": {"0x00": 12}, "puback": {}, "disconnect": {"reset": 4}, "suback": {}},
        "faults": [
            {
                "number": 0,
                "name": "kill",
                "kind": "kill",
                "target": "busiest",
                "nodes": ["rabbit2"],
                "endpoints": [NODES[1]],
                "outcome": "injected",
                "planned_at": "steady+2s",
                "trouble": [],
                "injected_at": KILL[0],
                "healed_at": 8.0,
                "recovered_at": 9.0,
                "recovery": 3.0,
                "window": {"start": KILL[0], "end": KILL[1], "closed_by": "recovery"},
                "affected": 4,
                "noticed_by": {"reset": 4},
                "reconnect": summarise(Histogram([400_000_000, 900_000_000])),
                "outage": {
                    "seconds": 1.5,
                    "first_low_at": 6.1,
                    "last_low_end_at": 7.6,
                    "lasting": False,
                    "deepest": 0.4,
                    "bin": 0.5,
                },
                "rate": {"metric": "acknowledged", "baseline": 40.0, "baseline_seconds": 3.0},
                "ledger": {"lost": 1, "duplicate": 2, "ok": 117},
            }
        ],
        "generator": {
            "cpu": 1.5,
            "cpu_percent": 11.5,
            "rss_peak": 60_000_000,
            "loop_lag": metrics["loop_lag"],
            "send_lag": metrics["send_lag"],
            "dropped": 0,
            "late": 0,
            "workers": 2,
            "workers_lost": 0,
            "limits": {"send_lag": 0.1, "loop_lag": 0.1, "max_dropped": 0, "max_late": None},
        },
        "broker": {
            "kind": "rabbitmq",
            "version": "4.3.0",
            "nodes": ["rabbit1", "rabbit2", "rabbit3"],
            "view": None,
        },
        "environment": {"python": "3.13.1", "platform": "Linux x86_64", "cores": 8, "tls": "1.3"},
        "warnings": [],
    }


def threshold(
    metric: str,
    expression: str,
    statistic: str,
    value: float | None,
    verdict: str = "pass",
    *,
    reason: str = "",
    default: bool = False,
) -> dict[str, Any]:
    """One entry of `thresholds` in result.json."""
    return {
        "metric": metric,
        "expression": expression,
        "statistic": statistic,
        "value": value,
        "verdict": verdict,
        "reason": reason,
        "default": default,
    }


def drift_rows() -> list[dict[str, Any]]:
    """`drift` of result.json: a limit that was broken, and a metric without one."""
    return [
        {
            "metric": "broker_memory",
            "unit": "bytes",
            "stage": "steady",
            "seconds": 3600.0,
            "level": 1e8,
            "slope": 2e7,
            "low": 1.5e7,
            "high": 2.5e7,
            "limit": "< 5%/h",
            "verdict": "fail",
            "reason": "above the limit",
        },
        {"metric": "p99", "unit": "seconds", "level": 0.01, "slope": 0.0, "low": -0.001, "high": 0.001},
    ]
