"""A run made by hand: result and snapshots as a real one has, with what a test wants changed."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot
from tests.made_run import threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from loadgen.metrics.broker_sample import BrokerSample

NS = 1_000_000_000
NODES = ("127.0.0.1:8883", "127.0.0.2:8883", "127.0.0.3:8883")
STAGES = (
    ("connect", "connect", 4, True),
    ("warm-up", "hold", 6, False),
    ("steady", "hold", 40, True),
    ("drain", "drain", 10, True),
)


@dataclass
class FakeRun:
    """What reports read of a run."""

    path: Path
    result: dict[str, Any]
    seconds: list[Snapshot] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)

    samples: list[BrokerSample] = field(default_factory=list)
    origin_ns: int = 0

    @property
    def span(self) -> range:
        known = [second.interval for second in self.seconds]
        return range(min(known, default=0), max(known, default=-1) + 1)

    def intervals(self, wanted: Callable[[int], bool] | None = None) -> Iterable[Snapshot]:
        return (second for second in self.seconds if wanted is None or wanted(second.interval))

    def broker_samples(self) -> list[BrokerSample]:
        return self.samples


def summary(count: int = 0, scale: float = 0.004) -> dict[str, Any]:
    """A latency summary of result.json; all null without samples."""
    factors = {"mean": 1.2, "min": 0.2, "p50": 1, "p90": 1.7, "p95": 2.1, "p99": 3.4, "p99_9": 8, "max": 21.5}
    values = {name: scale * factor if count else None for name, factor in factors.items()}
    return {"count": count, **values, "out_of_range": 0}


def empty_result() -> dict[str, Any]:
    """The result of a run that ended before anything happened."""
    return {
        "schema_version": 1,
        "loadgen_version": "0.1.0",
        "verdict": "invalid",
        "exit_code": 98,
        "reasons": ["publish_latency: no samples"],
        "scenario": {"name": "empty", "description": "", "file": None, "seed": 1},
        "run_id": "20250102T030405Z-empty",
        "started_at": "2025-01-02T03:04:05Z",
        "duration": 0.0,
        "interrupted": False,
        "totals": dict.fromkeys(
            (
                "clients",
                "connected",
                "published",
                "acknowledged",
                "delivered",
                "expected_deliveries",
                "bytes_sent",
                "bytes_received",
            ),
            0,
        ),
        "ledger": {
            **dict.fromkeys(
                (
                    "ok",
                    "duplicate",
                    "lost",
                    "recovered",
                    "indeterminate",
                    "unexpected",
                    "reordered",
                    "not_attempted",
                    "indeterminate_qos0",
                    "session_gap",
                    "unsettled",
                    "expected",
                    "delivered",
                    "pairs",
                    "unaccounted",
                ),
                0,
            ),
            "settled": False,
            "worst": [],
        },
        "metrics": {},
        "groups": {},
        "stages": [],
        "thresholds": [],
        "codes": {"connack": {}, "puback": {}, "disconnect": {}, "suback": {}, "connect_errors": {}},
        "faults": [],
        "generator": {
            "cpu": 0.1,
            "cpu_percent": None,
            "rss_peak": 30_000_000,
            "loop_lag": summary(),
            "send_lag": summary(),
            "dropped": 0,
            "late": 0,
            "workers": 1,
            "workers_lost": 0,
        },
        "broker": {"kind": "embedded", "version": None, "nodes": [], "view": None},
        "environment": {},
        "warnings": [],
    }


def full_result() -> dict[str, Any]:
    """The result of a good run of a minute against three nodes."""
    result = empty_result()
    start = 0
    for name, kind, duration, record in STAGES:
        result["stages"].append(
            {
                "name": name,
                "kind": kind,
                "started_at_s": float(start),
                "duration": float(duration),
                "record": record,
            }
        )
        start += duration
    names = ("connect_time", "publish_latency", "publish_service_time", "delivery_latency", "send_lag")
    metrics = {
        name: summary(9_200, scale)
        for name, scale in zip(names, (0.02, 0.004, 0.0035, 0.006, 0.0003), strict=True)
    }
    result.update(
        verdict="pass",
        exit_code=0,
        reasons=[],
        duration=60.0,
        run_id="20250102T030405Z-rabbitmq-smoke",
        metrics=metrics,
    )
    result["scenario"] = {
        "name": "rabbitmq-smoke",
        "description": "Fan-in and fan-out at QoS 0 and 1 on three nodes.",
        "file": "scenarios/rabbitmq-smoke.yaml",
        "seed": 7,
    }
    result["totals"].update(
        clients=300,
        connected=300,
        published=9_200,
        acknowledged=9_200,
        delivered=27_600,
        expected_deliveries=27_600,
        bytes_sent=2_944_000,
        bytes_received=8_832_000,
    )
    result["ledger"].update(ok=27_600, expected=27_600, delivered=27_600, pairs=300, settled=True)
    result["groups"] = {
        "sensors": {
            "clients": 290,
            "published": 9_200,
            "acknowledged": 9_200,
            "delivered": 0,
            "metrics": {"publish_latency": metrics["publish_latency"]},
        },
        "dashboards": {
            "clients": 10,
            "published": 0,
            "acknowledged": 0,
            "delivered": 27_600,
            "metrics": {"delivery_latency": metrics["delivery_latency"]},
        },
    }
    result["thresholds"] = [
        threshold("publish_latency", "p99 < 250ms", "p99", 0.0136),
        threshold("delivery_latency{group: dashboards}", "p99.9 < 1s", "p99.9", 0.048),
        threshold("messages_lost", "count == 0", "count", 0.0, default=True),
    ]
    result["codes"].update(connack={"0x00": 300}, suback={"0x01": 10})
    result["generator"].update(
        cpu=7.4,
        cpu_percent=12.3,
        rss_peak=61_000_000,
        loop_lag=summary(6_000, 0.0002),
        send_lag=metrics["send_lag"],
        workers=2,
    )
    result["broker"] = {
        "kind": "rabbitmq",
        "version": "4.3.0",
        "nodes": ["rabbit1", "rabbit2", "rabbit3"],
        "view": {
            "checked": 300,
            "ok": 300,
            "mismatches": [],
            "by_node": {"rabbit1": 100, "rabbit2": 101, "rabbit3": 99},
        },
    }
    result["environment"] = {
        "python": "3.13.1",
        "openssl": "OpenSSL 3.5.4",
        "platform": "Linux x86_64",
        "cores": 8,
        "tls": "1.3",
    }
    return result


def second(
    interval: int, stage: str, *, published: int = 0, fan_out: int = 3, connected: int = 0, seed: int = 0
) -> Snapshot:
    """One second of a run: log-normal latencies, the same for the same seed."""
    draw = random.Random(seed * 100_003 + interval)

    def samples(count: int, median_ms: float) -> Histogram:
        return Histogram([int(draw.lognormvariate(0, 0.5) * median_ms * 1e6) for _ in range(count)])

    histograms = {"loop_lag|": samples(50, 0.2)}
    if published:
        histograms |= {
            "publish_latency|sensors": samples(published, 4),
            "publish_service_time|sensors": samples(published, 3.5),
            "delivery_latency|dashboards": samples(published * fan_out, 6),
            "send_lag|sensors": samples(published, 0.3),
        }
    if stage == "connect":
        histograms["connect_time|sensors"] = samples(75, 20)
    counters = {
        "published|sensors": published,
        "acknowledged|sensors": published,
        "received|dashboards": published * fan_out,
    }
    gauges = {"connected|sensors": float(connected), "rss": 6e7}
    gauges |= {f"connected_node|{node}": float((connected + place) // 3) for place, node in enumerate(NODES)}
    return Snapshot(0, interval, interval * NS, (interval + 1) * NS, stage, histograms, counters, gauges)


def full_timeline(seed: int = 0) -> list[Snapshot]:
    """Every second of the run that `full_result` tells of."""
    found: list[Snapshot] = []
    for name, _, duration, _ in STAGES:
        for place in range(duration):
            connected = min(300, 75 * (place + 1)) if name == "connect" else 300
            published = 200 + (place * 37 % 23) if name in {"warm-up", "steady"} else 0
            found.append(second(len(found), name, published=published, connected=connected, seed=seed))
    return found


@pytest.fixture
def good_result() -> dict[str, Any]:
    return full_result()


@pytest.fixture
def no_result() -> dict[str, Any]:
    return empty_result()


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., FakeRun]:
    """Make a run in a temporary folder; the good one unless told otherwise."""

    def make(
        result: dict[str, Any] | None = None,
        seconds: list[Snapshot] | None = None,
        scenario: str = "name: x\n",
    ) -> FakeRun:
        (tmp_path / "scenario.yaml").write_text(scenario, encoding="utf-8")
        return FakeRun(
            tmp_path,
            copy.deepcopy(full_result() if result is None else result),
            full_timeline() if seconds is None else seconds,
        )

    return make


@pytest.fixture
def make_second() -> Callable[..., Snapshot]:
    return second


@pytest.fixture
def make_threshold() -> Callable[..., dict[str, Any]]:
    return threshold
