"""Thresholds that only warn, and those that end a run, from the scenario file to the exit code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.cli import call
from loadgen.coordination.abort_watch import AbortWatch
from loadgen.metrics.durations import durations_of
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.packed import pack_snapshot
from loadgen.metrics.snapshot import Snapshot
from loadgen.metrics.tally import Tally
from loadgen.metrics.threshold import RUN
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.scenario.threshold_rules import ThresholdRule
from loadgen.scenario.thresholds import parse_thresholds
from tests.cli.conftest import certs, write_scenario
from tests.cli.run_process import result_of
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs

__all__ = ["certs"]

MS = 1_000_000
STAGES: list[dict[str, Any]] = [
    {"name": "connect", "kind": "connect", "record": True, "started_at_s": 0.0, "duration": 1.0},
    {"name": "warm", "kind": "hold", "record": False, "started_at_s": 1.0, "duration": 2.0},
    {"name": "steady", "kind": "hold", "record": True, "started_at_s": 3.0, "duration": None},
]


def watch(key: str, expression: str, abort_after: str = "2s") -> AbortWatch:
    rule = ThresholdRule.model_validate({"threshold": expression, "abort_on_fail": abort_after})
    return AbortWatch(parse_thresholds({key: [rule]}))


def tally_with(milliseconds: list[int], published: int = 0) -> Tally:
    tally = Tally(1)
    add(tally, milliseconds, published)
    return tally


def add(tally: Tally, milliseconds: list[int], published: int = 0) -> None:
    histograms = {"publish_latency|a": Histogram([ms * MS for ms in milliseconds])} if milliseconds else {}
    counters = {"published|a": published} if published else {}
    tally.add(pack_snapshot(Snapshot(0, 1, 0, 1, "steady", histograms, counters)))


def test_only_what_stays_broken_ends_the_run() -> None:
    tally = tally_with([50])
    watched = watch("publish_latency", "p50 < 10ms")
    assert watched.second(tally, STAGES, 4.0) == ""
    assert watched.second(tally, STAGES, 5.0) == ""
    add(tally, [1, 1, 1])
    assert watched.second(tally, STAGES, 6.0) == "", "the median holds again: the time begins anew"
    add(tally, [50] * 9)
    assert watched.second(tally, STAGES, 7.0) == ""
    assert watched.second(tally, STAGES, 8.5) == ""
    assert watched.second(tally, STAGES, 9.0) == (
        "publish_latency: p50 < 10ms does not hold, it was 50.000ms, for 2s (abort_on_fail)"
    )


def test_without_a_sample_nothing_is_broken_and_a_drain_ends_by_itself() -> None:
    watched = watch("publish_latency{stage: steady}", "p50 < 10ms", "1s")
    assert not any(watched.second(tally_with([]), STAGES, float(at)) for at in range(4, 9))
    drain = [*STAGES, {"name": "d", "kind": "drain", "record": True, "started_at_s": 9.0, "duration": None}]
    assert not any(watched.second(tally_with([50]), drain, float(at)) for at in range(9, 14))


def test_a_rate_is_that_of_the_time_so_far() -> None:
    watched = watch("published", "rate > 5/s", "1s")
    tally = tally_with([], 30)
    assert watched.second(tally, STAGES, 8.0) == ""
    assert watched.second(tally, STAGES, 9.0) == "", "30 in 6 s: broken for the first time"
    assert "it was 4.3/s" in watched.second(tally, STAGES, 10.0)


def test_durations() -> None:
    assert durations_of(STAGES) == {"connect": 1.0, "warm": 2.0, RUN: 0.0}
    assert durations_of(STAGES, 5.0) == {"connect": 1.0, "warm": 2.0, "steady": 2.0, RUN: 2.0}


def run(tmp_path: Path, certs: Certs, thresholds: dict[str, Any], *more: str, **broker: Any) -> int:  # noqa: ANN401 - as the fake takes it
    async def main() -> int:
        async with FakeBroker(ssl=certs.server_context(), **broker) as fake:
            write_scenario(tmp_path, certs, fake.port)
            arguments = ["run", "small.yaml", "--workers", "1", "--view", "quiet", "--no-report"]
            # How busy this machine is belongs to no test.
            arguments += ["--set", "generator={send_lag: 10s, loop_lag: 10s}"]
            arguments += ["--set", f"thresholds={json.dumps(thresholds)}", *more]
            return await asyncio.to_thread(call, arguments)

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_that_breaks_what_only_warns_passes_and_says_so(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    warns = {"level": "warn"}
    thresholds = {
        "publish_latency": ["p99 < 10s", {"threshold": "p99 < 1us", **warns}],
        "reconnect_time": {"threshold": "p99 < 1s", **warns},
        "messages_lost": {"threshold": "count > 5", **warns},
    }
    assert run(tmp_path, certs, thresholds) == 0
    result = result_of(tmp_path)
    jsonschema.validate(result, RESULT_SCHEMA)
    rows = {(row["metric"], row["expression"]): row for row in result["thresholds"]}
    broken = rows["publish_latency", "p99 < 1us"]
    assert (broken["verdict"], broken["level"]) == ("warn", "warn")
    assert broken["value"] > 0
    assert rows["publish_latency", "p99 < 10s"]["verdict"] == "pass"
    assert rows["reconnect_time", "p99 < 1s"]["verdict"] == "warn", "no data is no pass"
    # A warning of one's own does not take the place of the defaults.
    assert rows["messages_lost", "count == 0"]["default"]
    assert rows["clients_never_connected", "count == 0"]["verdict"] == "pass"
    assert result["reasons"] == []
    assert [line for line in result["warnings"] if "p99 < 1us does not hold" in line]
    out = capsys.readouterr().out
    assert "~ publish_latency" in out
    assert "VERDICT PASS" in out


def test_a_broken_threshold_ends_the_run_early(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = {
        "publish_latency": {"threshold": "p50 < 20ms", "abort_on_fail": "1s"},
        "publish_latency{stage: later}": "p99 < 10s",
    }
    stages = "stages=[{name: connect, connect: 100/s}, {name: steady, hold: 60s}, {name: later, hold: 1s}]"
    assert run(tmp_path, certs, thresholds, "--set", stages, puback_delay_s=0.05) == 99
    result = result_of(tmp_path)
    jsonschema.validate(result, RESULT_SCHEMA)
    assert result["duration"] < 30
    assert result["verdict"] == "fail"
    assert result["interrupted"] is False
    assert "publish_latency: p50 < 20ms does not hold" in result["aborted"]
    assert result["reasons"][0] == f"ended early: {result['aborted']}"
    assert not any("never reached" in reason for reason in result["reasons"]), "it was to come"
    assert "VERDICT FAIL (exit code 99, ended early" in capsys.readouterr().out


def test_clients_that_never_connect_fail_the_run_unless_they_may(tmp_path: Path, certs: Certs) -> None:
    def refuse(number: int, _: object) -> int:
        return 0x87 if number and number % 6 == 1 else 0  # the first is the look before the run

    more = ["--set", "groups.publishers.reconnect.max_attempts=1", "--set", "stages.connect.timeout=2s"]
    assert run(tmp_path, certs, {}, *more, refuse=refuse) == 99
    result = result_of(tmp_path)
    rows = {row["metric"]: row for row in result["thresholds"]}
    assert rows["clients_never_connected"]["verdict"] == "fail"
    assert [reason for reason in result["reasons"] if "never connected" in reason] == [
        reason for reason in result["reasons"] if "clients were never connected and subscribed" in reason
    ]
    assert run(tmp_path, certs, {"clients_never_connected": "count <= 3"}, *more, refuse=refuse) == 0


def test_a_threshold_on_one_node_sees_that_node_alone(tmp_path: Path, certs: Certs) -> None:
    async def main() -> int:
        context = certs.server_context()
        async with FakeBroker(ssl=context) as quick, FakeBroker(ssl=context, puback_delay_s=0.2) as slow:
            write_scenario(tmp_path, certs, quick.port)
            nodes = [f"127.0.0.1:{each.port}" for each in (quick, slow)]
            thresholds = {
                f"publish_latency{{node: {nodes[0]}}}": {"threshold": "p50 < 200ms", "level": "warn"},
                f"publish_latency{{node: {nodes[1]}, stage: steady}}": "p50 >= 200ms",
                f"connects{{node: {nodes[1]}}}": "count >= 1",
                "connects": "count == 6",
            }
            uris = json.dumps([f"mqtts://{node}" for node in nodes])
            arguments = ["run", "small.yaml", "--workers", "1", "--view", "quiet", "--no-report"]
            arguments += ["--set", f"target.uris={uris}", "--set", f"thresholds={json.dumps(thresholds)}"]
            # Brokers that do not know each other deliver nothing from one to the other.
            arguments += [
                "--set",
                "generator={send_lag: 10s, loop_lag: 10s}",
                "--set",
                "stages.drain.drain=300ms",
            ]
            return await asyncio.to_thread(call, arguments)

    asyncio.run(main())
    rows = {
        row["metric"].partition(":")[0] + row["expression"]: row for row in result_of(tmp_path)["thresholds"]
    }
    assert rows["publish_latency{nodep50 >= 200ms"]["verdict"] == "pass"
    assert rows["publish_latency{nodep50 < 200ms"]["verdict"] == "pass"
    assert rows["connects{nodecount >= 1"]["value"] == 3
    assert rows["connectscount == 6"]["verdict"] == "pass"
