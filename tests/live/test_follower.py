"""What the live page knows of a run, from its folder and from what the run says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from loadgen.live.lines import event, json_line
from loadgen.live.page.follower import Follower
from loadgen.live.tail import LineTail, RunTail
from loadgen.metrics.snapshot import Snapshot
from tests.live.folders import GrowingRun
from tests.live.states import STATE
from tests.report.conftest import full_result, full_timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> GrowingRun:
    return GrowingRun(tmp_path / "run")


def test_a_line_that_is_being_written_comes_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = LineTail(path)
    assert tail.new() == []
    path.write_text("one\ntw")
    assert tail.new() == ["one"]
    assert tail.new() == []
    with path.open("a") as file:
        file.write("o\n")
    assert tail.new() == ["two"]


def of(worker: int, interval: int, stage: str = "steady") -> Snapshot:
    return Snapshot(
        worker=worker, interval=interval, start_ns=interval, end_ns=interval + 1, stage=stage,
        counters={"published|g": 1},
    )  # fmt: skip


def test_a_second_is_complete_when_every_worker_has_left_it_or_is_long_gone(tmp_path: Path) -> None:
    run = GrowingRun(tmp_path / "run", workers=2)
    tail = RunTail(run.folder)
    for worker, interval in ((0, 0), (0, 1), (1, 0)):
        run.snapshot(of(worker, interval))
    assert tail.seconds() == []
    run.snapshot(of(1, 1))
    run.snapshot(of(1, 0, "connect"))  # late, and for a stage that was over
    (parts,) = tail.seconds()
    assert {part.stage: part.count("published") for part in parts} == {"connect": 1, "steady": 2}
    for interval in range(2, 6):
        run.snapshot(of(0, interval))
    assert [second[0].interval for second in tail.seconds()] == [1]
    assert [second[0].interval for second in tail.seconds(last=True)] == [2, 3, 4, 5]


def test_rows_grow_and_thresholds_are_held_against_what_is_known(run: GrowingRun) -> None:
    follower = Follower(run.folder)
    follower.look()
    assert follower.rows(0) == []
    assert follower.state()["verdict"] == "pass"
    run.live(21)
    follower.told(json_line(STATE))
    follower.told(event("note", text="stage steady (hold)"))
    follower.told("no JSON")
    follower.look()
    rows = follower.rows(0)
    assert [row["time"] for row in rows] == list(range(20))
    assert rows[-1]["published"] == full_timeline()[19].count("published")
    assert rows[0]["publish_latency_p99"] is None
    assert follower.rows(18) == rows[18:]
    assert follower.curves()["publish_latency"]["x"][0] == 1
    state = follower.state()
    assert state["second"]["clients"] == {"planned": 300, "connected": 299}
    assert state["notes"] == ["stage steady (hold)"]
    assert [each["verdict"] for each in state["thresholds"]] == ["pass", "fail", "later", "later"]
    assert state["verdict"] == "fail"
    assert "p99 < 1ms does not hold" in state["reasons"][0]
    json.dumps([state, rows, follower.curves()], allow_nan=False)


def test_the_charts_shape_changes_with_stages_faults_and_lines(run: GrowingRun) -> None:
    follower = Follower(run.folder)
    shapes = []
    steps: tuple[Callable[[], None], ...] = (
        lambda: run.live(3),
        lambda: run.live(5),  # another stage, and samples
        lambda: run.live(7),
        lambda: run.fault("injecting", 12.0),
        lambda: run.fault("healed", 13.0),
        lambda: run.fault("closed", 14.0, by="recovery"),
    )
    for step in steps:
        step()
        follower.look()
        shapes.append(follower.shape)
    assert len(set(shapes)) == len(shapes)
    run.live(2)
    follower.look()
    assert follower.shape == shapes[-1]
    (fault,) = follower.series()[1]["faults"]
    assert fault["window"] == {"start": 12.0, "end": 14.0}
    assert (fault["healed_at"], fault["recovered_at"]) == (13.0, 14.0)


def test_a_saturated_generator_makes_it_invalid(run: GrowingRun) -> None:
    run.folder.joinpath("scenario.yaml").write_text(
        run.folder.joinpath("scenario.yaml").read_text() + "generator: {send_lag: 1us}\n"
    )
    follower = Follower(run.folder)
    run.live(20)
    follower.look()
    state = follower.state()
    assert state["verdict"] == "invalid"
    assert state["reasons"][0].startswith("the generator is the bottleneck: send_lag p99 is ")


def test_the_end_is_what_the_result_says(run: GrowingRun) -> None:
    follower = Follower(run.folder)
    run.live(60)
    run.end(full_result() | {"verdict": "fail", "reasons": ["messages_lost: 2"]})
    follower.told(event("end", verdict="fail", exit_code=99, path="runs/x"))
    follower.look()
    state = follower.state()
    assert (state["ended"], state["verdict"], state["reasons"]) == (True, "fail", ["messages_lost: 2"])
    assert state["path"] == "runs/x"
    assert [each["verdict"] for each in state["thresholds"]] == ["pass", "pass", "pass"]
    assert len(follower.rows(0)) == 60
