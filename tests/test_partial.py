from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot
from loadgen.partial import result_of
from loadgen.report import text
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.store import RunWriter, open_run

if TYPE_CHECKING:
    from pathlib import Path


def writer_of(tmp_path: Path) -> RunWriter:
    return RunWriter(tmp_path, "x", "name: x\n", {"scenario": "x", "seed": 3, "clients": 4, "workers": 2})


def test_a_run_with_a_result_is_left_alone(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    writer.finish({"verdict": "pass"})
    run = open_run(writer.path)
    assert result_of(run) is run


def test_a_killed_run_is_invalid_and_shows_what_it_had(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    for interval in (0, 1):
        for worker in (0, 1):
            writer.snapshot(
                Snapshot(
                    worker,
                    interval,
                    int((7 + interval) * 1e9),
                    int((8 + interval) * 1e9),
                    "steady",
                    {"publish_latency|g": Histogram([1_000_000])},
                    {
                        "published|g": 10,
                        "acknowledged|g": 9,
                        "received|g": 8,
                        "duplicates|g": 1,
                        "foreign|g": 2,
                        "connack_codes:0x00|g": 1,
                    },
                    {"connected|g": 2.0 - interval, "rss": 100.0},
                ).to_json()
            )
    writer.event({"ns": int(7e9), "event": "stage", "stage": "steady", "kind": "hold"})
    writer.flush()
    result = result_of(open_run(writer.path)).result
    jsonschema.validate(result, RESULT_SCHEMA)
    assert (result["verdict"], result["exit_code"]) == ("invalid", 98)
    assert "killed" in result["reasons"][0]
    assert result["totals"]["published"] == 40
    assert result["totals"]["delivered"] == 4 * (8 - 2 - 1)
    assert result["totals"]["connected"] == 4
    assert result["duration"] == 2.0
    assert result["metrics"]["publish_latency"]["count"] == 4
    assert result["codes"]["connack"] == {"0x00": 4}
    assert result["stages"][0]["name"] == "steady"
    assert result["generator"]["rss_peak"] == 200.0
    assert result["started_at"].startswith("20")
    assert result["ledger"] == {}  # zeros would be a lie
    writer.finish({})


def test_killed_before_the_first_second(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    result = result_of(open_run(writer.path)).result
    jsonschema.validate(result, RESULT_SCHEMA)
    assert result["duration"] == 0
    writer.finish({})


def test_the_faults_of_a_killed_run_are_told(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    writer.snapshot(Snapshot(0, 0, int(10e9), int(11e9), "steady").to_json())
    about = {"event": "fault", "fault": "kill", "number": 0, "kind": "kill", "nodes": ["127.0.0.2:8883"]}
    for seconds, phase, more in (
        (12.0, "injecting", {}),
        (12.1, "killed", {"node": "rabbit2"}),
        (12.2, "injected", {}),
        (15.0, "healing", {}),
        (15.5, "trouble", {"why": "could not be healed: no such node"}),
    ):
        writer.event({"ns": int(seconds * 1e9), **about, "phase": phase, **more})
    writer.flush()
    run = result_of(open_run(writer.path))
    jsonschema.validate(run.result, RESULT_SCHEMA)
    (fault,) = run.result["faults"]
    assert (fault["name"], fault["outcome"], fault["nodes"]) == ("kill", "injected", ["127.0.0.2:8883"])
    assert (fault["injected_at"], fault["injected_done_at"], fault["healing_at"]) == (2.0, 2.2, 5.0)
    assert fault["healed_at"] is None
    assert fault["steps"] == [{"what": "killed", "node": "rabbit2", "at": 2.1}]
    assert fault["trouble"] == ["could not be healed: no such node"]
    assert "kill" in text.render(run.result)
    writer.finish({})


GROWING = {
    "name": "soak",
    "target": {"kind": "embedded"},
    "identities": {"devices": {"issue": {"count": 2, "common_name": "d{index}"}}},
    "groups": {
        "all": {"clients": 2, "identity": "devices", "publish": {"topic": "t", "qos": 1, "rate": "1/s"}}
    },
    "stages": [{"name": "connect", "connect": "10/s"}, {"name": "steady", "hold": "8h"}],
    "drift": {"ignore_first": "1m", "limits": {"generator_memory": "50MB/h"}},
}


@pytest.mark.parametrize(("an_hour", "said"), [(3.6e9, True), (3.6e6, False)], ids=["leak", "steady"])
def test_a_leak_is_told_of_a_run_that_it_killed(tmp_path: Path, an_hour: float, *, said: bool) -> None:
    plan = {"scenario": "soak", "seed": 3, "clients": 2, "workers": 2}
    writer = RunWriter(tmp_path, "x", yaml.safe_dump(GROWING), plan)
    begun = int(7e9)
    writer.event({"ns": begun, "event": "stage", "stage": "connect", "kind": "connect"})
    writer.event({"ns": begun + int(1e9), "event": "stage", "stage": "steady", "kind": "hold"})
    fault = {"event": "fault", "number": 0, "fault": "pause", "kind": "pause", "nodes": ["a"]}
    writer.event({"ns": begun + int(300e9), **fault, "phase": "injecting"})
    writer.event({"ns": begun + int(360e9), **fault, "phase": "closed"})
    for second in range(900):
        for worker in (0, 1):
            rss = 50e6 + second / 3600 * an_hour / 2
            if 300 <= second < 360:
                rss += 400e6  # what a fault does is no drift
            at = begun + int(second * 1e9)
            stage = "steady" if second else "connect"
            if (second, worker) != (899, 1):  # it was killed when only one of them had told its last second
                writer.snapshot(
                    Snapshot(worker, second, at, at + int(1e9), stage, {}, {}, {"rss": rss}).to_json()
                )
    writer.flush()
    result = result_of(open_run(writer.path)).result
    jsonschema.validate(result, RESULT_SCHEMA)
    assert result["verdict"] == "invalid"
    (row,) = [row for row in result["drift"] if row["metric"] == "generator_memory"]
    assert row["slope"] == pytest.approx(an_hour, rel=0.05)
    more = result["reasons"][1:]
    assert [reason.startswith("drift of generator_memory: +3.6") for reason in more] == [True] * said
    writer.finish({})
