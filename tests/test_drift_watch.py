from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.drift_watch import DriftWatch, drift_says
from loadgen.metrics.broker_sample import BrokerSample, NodeSample
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot
from loadgen.metrics.verdict import Verdict
from loadgen.scenario.load import load_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.scenario.model import Scenario

S = 1_000_000_000
ORIGIN = 77 * S
MB = 1_000_000


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    document = {
        "name": "watch",
        "target": {
            "uris": ["mqtts://127.0.0.1"],
            "management": {"uris": ["http://a"], "username": "u", "password": {"env": "P"}},
        },
        "identities": {"devices": {"issue": {"count": 2, "common_name": "d{index}"}}},
        "groups": {
            "all": {
                "clients": 2,
                "identity": "devices",
                "publish": {"topic": "t", "qos": 1, "rate": "1/s"},
                "subscribe": {"filter": "t", "qos": 1},
            }
        },
        "stages": [
            {"name": "connect", "connect": "10/s"},
            {"name": "short", "hold": "10s"},
            {"name": "steady", "hold": "40m"},
        ],
        "drift": {
            "ignore_first": "10m",
            "limits": {"delivery_latency_p99": "5%/h", "broker_memory": "50MB/h", "connected_clients": "1/h"},
        },
    }
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_scenario(path)


def second(number: int, latency_ms: float = 10.0, clients: float = 2.0, rss: float = 50 * MB) -> Snapshot:
    histogram = Histogram([int(latency_ms * 1e6)] * 10)
    return Snapshot(
        interval=number,
        start_ns=ORIGIN + number * S,
        end_ns=ORIGIN + (number + 1) * S,
        histograms={"delivery_latency|all": histogram},
        gauges={"connected|all": clients, "rss": rss},
    )


def sample(number: int, memory: float, depth: int = 0) -> BrokerSample:
    nodes = (NodeSample("a", memory=int(memory)),)
    return BrokerSample(ORIGIN + number * S, messages_ready=depth, messages_unacknowledged=0, nodes=nodes)


def started(scenario: Scenario) -> DriftWatch:
    """Its steady stage begins 20 s after the start; judged is from 620 s to 2420 s."""
    watch = DriftWatch(scenario)
    watch.begin(ORIGIN)
    watch.enter("short", ORIGIN + 10 * S)
    watch.leave("short", ORIGIN + 20 * S)
    watch.enter("steady", ORIGIN + 20 * S)
    return watch


def rows(watch: DriftWatch) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in watch.rows()}


def test_what_rises_is_judged_and_what_came_before_is_not(scenario: Scenario) -> None:
    watch = started(scenario)
    for k in range(2500):
        warm = k < 620  # a warm-up that would look like a fall, and a drain that would look like anything
        watch.second(second(k, 500 if warm or k >= 2420 else 10 + (k - 620) / 3600), disturbed=False)
        if k % 5 == 0:
            watch.brokers(sample(k, 300 * MB + (60 * MB * k / 3600 if not warm else 0)), disturbed=False)
    found = rows(watch)
    latency, memory = found["delivery_latency_p99"], found["broker_memory"]
    assert latency["verdict"] == "fail"
    assert latency["slope"] == pytest.approx(1e-3, rel=0.05)
    assert latency["level"] == pytest.approx(10e-3, rel=0.01)
    assert (memory["verdict"], memory["stage"]) == ("fail", "steady")
    assert memory["slope"] == pytest.approx(60 * MB, rel=0.01)
    assert memory["seconds"] == pytest.approx(1800, rel=0.05)
    assert found["connected_clients"]["verdict"] == "pass"
    assert (found["generator_memory"]["verdict"], found["queue_depth"]["slope"]) == (None, 0)
    says = drift_says(list(found.values()), complete=True)
    assert [verdict for verdict, _ in says] == [Verdict.FAIL, Verdict.FAIL]
    assert says[1][1] == (
        "drift of broker_memory: +60.0 MB (+19.1 %) an hour, between +60.0 MB and +60.0 MB; more than 50MB/h"
    )


def test_seconds_in_a_faults_window_are_left_out(scenario: Scenario) -> None:
    watch = started(scenario)
    for k in range(620, 2420):
        disturbed = 1500 <= k < 2400
        watch.second(second(k, 900 if disturbed else 10, clients=1 if disturbed else 2), disturbed=disturbed)
        watch.brokers(sample(k, (900 if disturbed else 300) * MB), disturbed=disturbed)
    assert [row["verdict"] for row in rows(watch).values() if row["limit"]] == ["pass"] * 3


def test_a_stage_that_was_cut_short_ends_there(scenario: Scenario) -> None:
    watch = started(scenario)
    for k in range(620, 700):
        watch.second(second(k), disturbed=False)
    watch.leave("steady", ORIGIN + 700 * S)
    for k in range(700, 2000):
        watch.second(second(k, 900), disturbed=False)
        watch.brokers(sample(k, 1), disturbed=False)
    found = rows(watch)
    assert found["delivery_latency_p99"]["points"] == 0
    assert found["delivery_latency_p99"]["reason"] == "800 messages in 80 seconds are too few"
    assert found["broker_memory"]["reason"] == "0 samples are too few, it takes 20"
    assert found["connected_clients"]["verdict"] == "pass"
    says = drift_says(list(found.values()), complete=True)
    assert {verdict for verdict, _ in says} == {Verdict.INVALID}
    assert says[0][1] == (
        "drift of delivery_latency_p99: no verdict on 5%/h: 800 messages in 80 seconds are too few"
    )
    assert drift_says(list(found.values()), complete=False) == []


def test_a_short_run_has_no_rows_without_a_limit(scenario: Scenario) -> None:
    watch = started(scenario)
    for k in range(620, 1100):
        watch.second(second(k), disturbed=False)
    assert "generator_memory" not in rows(watch)


def test_a_day_is_kept_in_bounded_room(scenario: Scenario) -> None:
    watch = started(scenario)
    watch._until = ORIGIN + 100_000 * S
    for k in range(620, 20_620):
        watch.second(second(k, 10 + (k - 620) / 3600), disturbed=False)
    parts = watch._parts["delivery_latency"]
    assert len(parts._parts) <= 120
    assert sum(total.count for _, total in parts._parts) == 200_000
    assert rows(watch)["delivery_latency_p99"]["slope"] == pytest.approx(1e-3, rel=0.05)


def test_there_is_nothing_to_judge_without_a_steady_stage(scenario: Scenario) -> None:
    watch = DriftWatch(scenario.model_copy(update={"stages": scenario.stages[:1]}))
    watch.enter("connect", ORIGIN)
    watch.second(second(1), disturbed=False)
    assert all(row["verdict"] == "invalid" for row in watch.rows())
