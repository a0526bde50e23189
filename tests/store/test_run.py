"""A run as an API: held against the samples it was made of."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from loadgen.metrics.snapshot import Snapshot, merge_time
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.store import Run, RunWriter, open_run
from tests.made_run import FAN_OUT, KILL, NODES, ORIGIN, RATE, STAGES, make_run, snapshots

if TYPE_CHECKING:
    from loadgen.metrics.histogram import Histogram

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_a_run.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return open_run(make_run(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return open_run(make_run(tmp_path_factory.mktemp("runs"), killed=True))


def truth(metric: str, group: str | None = None, *, seconds: range = range(13)) -> Histogram:
    return merge_time([each for each in snapshots() if each.interval in seconds]).select(metric, group)


def test_the_made_run_is_like_a_real_one(run: Run) -> None:
    jsonschema.validate(run.result, RESULT_SCHEMA, cls=jsonschema.Draft202012Validator)


def test_what_the_run_was(run: Run, killed: Run) -> None:
    for each in (run, killed):
        assert each.name == "made"
        assert each.groups == ["devices", "dashboards"]
        assert each.scenario["groups"]["devices"]["clients"] == 12
        assert each.duration == 13.0
        assert each.origin_ns == ORIGIN
        assert each.at(ORIGIN + 1_500_000_000) == 1.5
        assert "publish_latency" in each.metrics
        assert "recovery_time" not in each.metrics
    assert (run.complete, killed.complete) == (True, False)
    assert run.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert killed.started_at is not None  # from plan.json


def test_without_selectors_a_histogram_is_that_of_the_result(run: Run) -> None:
    for metric, summary in run.result["metrics"].items():
        assert run.histogram(metric).summary() == summary, metric


def test_selectors(run: Run, killed: Run) -> None:
    for each in (run, killed):
        latency = each.histogram
        assert latency("publish_latency", group="devices").histogram == truth("publish_latency", "devices")
        assert not latency("publish_latency", group="dashboards")
        assert latency("loop_lag", stage="warm-up").histogram == truth("loop_lag", seconds=range(2, 4))
        assert latency("loop_lag", between=(2, 4)).histogram == truth("loop_lag", seconds=range(2, 4))
        # The middle of second 6 is at 6.5.
        assert latency("loop_lag", between=(6.51, 8)).histogram == truth("loop_lag", seconds=range(7, 8))
        during = latency("publish_latency", during="kill").histogram
        assert during == truth("publish_latency", seconds=range(6, 9))
        both = latency("publish_latency", "devices", during="kill", between=(0, 7), stage="steady")
        assert both.histogram == truth("publish_latency", seconds=range(6, 7))
        assert not latency("publish_latency", during="kill", stage="connect")
        assert each.count("published") == 10 * 2 * RATE
        assert each.count("received", "dashboards", between=(4, 6)) == 2 * 2 * RATE * FAN_OUT
        assert each.count("received", "devices") == 0
        assert each.codes("disconnect_codes", during="kill") == {"reset": 4}
        assert each.codes("disconnect_codes", between=(0, 5)) == {}
        assert each.total(stage="connect").count("connects") == 12


def test_seconds_and_not_nanoseconds(run: Run) -> None:
    found = run.histogram("publish_latency", stage="steady")
    whole = truth("publish_latency")
    assert found.percentile(99) == pytest.approx(whole.percentile(99.0) / 1e9)
    assert (found.min, found.max, found.mean) == pytest.approx(
        (whole.min / 1e9, whole.max / 1e9, whole.mean / 1e9)
    )
    assert 0.001 < found.percentile(50) < 0.3
    assert found.percentiles([99, 50]) == [found.percentile(99), found.percentile(50)]


def test_what_there_is_not_is_told(run: Run) -> None:
    with pytest.raises(KeyError, match=r"no stage 'stedy'.*connect, warm-up, steady, drain"):
        run.histogram("publish_latency", stage="stedy")
    with pytest.raises(KeyError, match=r"no histogram 'latency'.*publish_latency"):
        run.histogram("latency")
    with pytest.raises(KeyError, match="no counter 'publish_latency'"):
        run.count("publish_latency")
    with pytest.raises(KeyError, match="see `ledger`"):
        run.count("messages_lost")
    with pytest.raises(KeyError, match=r"no group 'device'.*devices, dashboards"):
        run.count("published", "device")
    with pytest.raises(KeyError, match=r"no fault 'stop'.*there are kill"):
        run.histogram("publish_latency", during="stop")
    with pytest.raises(KeyError, match="no codes 'connack'"):
        run.codes("connack")


def test_stages_and_faults(run: Run, killed: Run) -> None:
    for each in (run, killed):
        assert [(one.name, one.kind, one.start, one.end) for one in each.stages] == [
            stage[:4] for stage in STAGES
        ]
        (kill,) = each.faults
        assert (kill.name, kill.kind, kill.start, kill.end, kill.seconds) == ("kill", "kill", *KILL, 3.0)
        assert kill.nodes == (NODES[1],)
        assert kill.healed_at == 8.0
    assert [one.record for one in run.stages] == [True, False, True, True]
    assert run.faults[0].recovered_at == 9.0


def test_repeated_faults_have_a_name_together(tmp_path: Path) -> None:
    fault = {"name": "kill#1", "kind": "kill", "target": "busiest", "window": {"start": 5.0, "end": 6.0}}
    other = fault | {"name": "kill#2", "window": {"start": 8.0, "end": None}}
    never = fault | {"name": "kill#3", "window": None}
    run = open_run(make_run(tmp_path, change={"faults": [fault, other, never]}))
    assert [each.name for each in run.faults] == ["kill#1", "kill#2"]
    assert run.histogram("loop_lag", during="kill#1").count == 20
    # The second window was open when the run ended, at 13 s.
    assert run.histogram("loop_lag", during="kill").count == 20 + 5 * 20


def test_events(run: Run, killed: Run) -> None:
    for each in (run, killed):
        assert [one.details["stage"] for one in each.history("stage")] == [name for name, *_ in STAGES]
        (outage,) = each.history("outage")
        assert (outage.at, outage.client_id, outage.group, outage.node) == (
            6.25,
            "device-1",
            "devices",
            NODES[1],
        )
        assert outage.details["cause"] == "reset"
        assert len(each.history()) == len(each.events()) == 11


def test_ledger(run: Run, killed: Run) -> None:
    assert killed.ledger is None
    ledger = run.ledger
    assert ledger is not None
    assert (ledger.lost, ledger.duplicate, ledger.settled) == (1, 2, True)
    assert (ledger.worst[0].publisher, ledger.worst[0].missing) == (3, [(5, 6)])


def test_a_ledger_with_keys_of_a_later_version_can_be_read(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path, change={"ledger": {"ok": 3, "something_new": 1}}))
    assert run.ledger is not None
    assert run.ledger.ok == 3


def test_a_run_that_has_nothing_yet(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    run = open_run(writer.path)
    assert (run.complete, run.duration, run.stages, run.faults, run.table()) == (False, 0.0, [], [], [])
    assert (run.span, run.timeline()) == (range(0), [])
    assert math.isnan(run.histogram("publish_latency").percentile(99))
    assert run.count("published") == 0
    writer.finish({})


def test_intervals_come_one_by_one_and_as_asked_for(run: Run) -> None:
    assert run.span == range(13)
    assert [each.interval for each in run.intervals()] == list(range(13))
    assert [each.interval for each in run.intervals(lambda k: k in {3, 8})] == [3, 8]
    one = next(run.intervals())
    assert (one.count("connects"), one.gauge("connected")) == (6, 8.0)  # both workers
    assert list(run.intervals()) == run.timeline()


def test_a_run_that_goes_on_is_read_anew_when_opened_again(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    line = Snapshot(0, 0, 0, 10**9, "s", {}, {"published|g": 5}).to_json()
    writer.snapshot(line)
    writer.flush()
    assert open_run(writer.path).count("published") == 5
    writer.snapshot(line.replace('"interval":0', '"interval":1'))
    writer.flush()
    assert open_run(writer.path).count("published") == 10
    writer.finish({})


@pytest.mark.parametrize("which", ["run", "killed"])
def test_the_example_reads_a_run(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE), str(run.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"publish_latency: {truth('publish_latency').count} samples" in done.stdout
    assert "stage steady (8.0 s): published devices 40/s" in done.stdout
    assert "fault kill at 6.0 s, 3.0 s long" in done.stdout
    assert "1 outages, first device-1" in done.stdout
    assert ("ledger: 1 lost of 800" in done.stdout) == (which == "run")
    assert ("the run was killed" in done.stdout) == (which == "killed")
