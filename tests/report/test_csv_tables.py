from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from loadgen.metrics.broker_sample import BrokerSample, NodeSample
from loadgen.partial import result_of
from loadgen.report.csv_tables import write_csv
from loadgen.store import RunWriter, open_run
from tests.made_run import ORIGIN, RATE, make_run

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.store import Run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tables(run: Run, folder: Path) -> dict[str, list[dict[str, str]]]:
    return {path.stem: read(path) for path in write_csv(run, folder)}


def test_the_timeline_has_a_row_for_each_interval(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path))
    found = tables(run, tmp_path / "out")
    assert set(found) == {
        "timeline", "timeline_by_group", "percentiles", "events", "faults", "brokers",
    }  # fmt: skip
    timeline = found["timeline"]
    assert len(timeline) == 13
    assert sum(int(row["published_total"]) for row in timeline) == run.result["totals"]["published"]
    assert timeline[0]["publish_latency_p99_seconds"] == ""  # nothing was measured, so not 0
    by_group = [row for row in found["timeline_by_group"] if row["group"] == "devices"]
    assert len(by_group) == 13
    assert len(found["timeline_by_group"]) == 26
    assert by_group[5]["published_total"] == str(2 * RATE)


def test_the_percentiles_are_those_of_the_result(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path))
    rows = tables(run, tmp_path / "out")["percentiles"]
    for row in rows:
        if not row["group"] and not row["stage"]:
            summary = run.result["metrics"][row["metric"]]
            assert int(row["samples"]) == summary["count"]
            for name in ("min", "p50", "p99", "p99_9", "max", "mean"):
                assert float(row[f"{name}_seconds"]) == pytest.approx(summary[name], abs=1e-9)
    scopes = {(row["metric"], row["group"], row["stage"]) for row in rows}
    assert ("delivery_latency", "dashboards", "") in scopes
    assert ("loop_lag", "", "warm-up") in scopes
    assert ("publish_latency", "dashboards", "") not in scopes


def test_events_and_faults(tmp_path: Path) -> None:
    found = tables(open_run(make_run(tmp_path)), tmp_path / "out")
    (outage,) = [row for row in found["events"] if row["event"] == "outage"]
    assert (outage["at_seconds"], outage["client_id"]) == ("6.25", "device-1")
    assert json.loads(outage["details"])["cause"] == "reset"
    (fault,) = found["faults"]
    assert (fault["name"], fault["window_start_seconds"], fault["lost_messages"]) == ("kill", "6.0", "1")
    assert (fault["fleet_down_seconds"], fault["not_back_outages"]) == ("1.5", "")


def test_samples_of_the_brokers(tmp_path: Path) -> None:
    path = make_run(tmp_path)
    nodes = (
        NodeSample("rabbit1", running=True, memory=100, alarms=("memory", "disk")),
        NodeSample("rabbit2", running=False),
    )
    sample = BrokerSample(ORIGIN + 2_500_000_000, connections=14, messages_ready=3, nodes=nodes)
    (path / "brokers.jsonl").write_text(json.dumps(asdict(sample)) + "\n")
    one, other = tables(open_run(path), tmp_path / "out")["brokers"]
    assert (one["at_seconds"], one["node"], one["memory_bytes"], one["alarms"]) == (
        "2.5", "rabbit1", "100", "memory disk",
    )  # fmt: skip
    assert (one["cluster_messages_ready"], one["cluster_queues"], one["cluster_answered"]) == (
        "3",
        "",
        "True",
    )
    assert (other["running"], other["memory_bytes"]) == ("False", "")


def test_runs_that_were_killed_or_have_nothing(tmp_path: Path) -> None:
    killed = result_of(open_run(make_run(tmp_path, killed=True)))
    found = tables(killed, tmp_path / "killed")
    assert len(found["timeline"]) == 13
    assert found["faults"][0]["name"] == "kill"
    writer = RunWriter(tmp_path / "runs", "x", "name: x\n", {})
    found = tables(result_of(open_run(writer.path)), tmp_path / "empty")
    assert not any(found.values())
    assert (tmp_path / "empty" / "timeline.csv").read_text().startswith("start_seconds,")
    writer.finish({})
