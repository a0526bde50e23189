from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadgen.errors import ConfigError
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot
from loadgen.store import RunWriter, open_run, run_number


def snapshot(
    worker: int, interval: int, stage: str = "s", published: int = 1, *, part: float = 0.0
) -> Snapshot:
    start = int((interval + part) * 1e9)
    return Snapshot(
        worker=worker,
        interval=interval,
        start_ns=start,
        end_ns=start + 500_000_000,
        stage=stage,
        histograms={"send_lag|g": Histogram([5000])},
        counters={"published|g": published},
        gauges={"connected|g": 3.0},
    )


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "deep" / "runs", "name", "name: x\n", {"clients": 4})
    writer.snapshot(snapshot(0, 0).to_json())
    writer.event({"ns": 5, "event": "stage"})
    writer.finish({"verdict": "pass"})
    run = open_run(writer.path)
    assert run.result == {"verdict": "pass"}
    assert run.plan["clients"] == 4
    assert run.scenario_yaml == "name: x\n"
    assert run.events() == [{"ns": 5, "event": "stage"}]
    assert list(run.snapshots()) == [snapshot(0, 0)]
    assert not list(writer.path.glob(".*"))  # no draft is left


def test_lines_are_on_disk_after_flush(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.snapshot(snapshot(0, 0).to_json())
    writer.event({"event": "a"})
    writer.flush()
    run = open_run(writer.path)
    assert run.result == {}
    assert len(list(run.snapshots())) == len(run.events()) == 1
    writer.finish({})


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.snapshot(snapshot(0, 0).to_json())
    writer.event({"event": "a"})
    writer.finish({})
    for name, line in (("snapshots.jsonl", snapshot(0, 1).to_json()), ("events.jsonl", '{"event":"b"}')):
        for length in (1, len(line) // 2, len(line) - 1):
            whole = (writer.path / name).read_text().splitlines()[0]
            (writer.path / name).write_text(f"{whole}\n{line[:length]}")
            run = open_run(writer.path)
            assert len(list(run.snapshots())) == len(run.events()) == 1


def test_timeline_adds_workers_and_keeps_stages_apart(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    for each in (
        snapshot(1, 1, "b", 5, part=0.5),
        snapshot(0, 0, "a", 1),
        snapshot(1, 0, "a", 2),
        snapshot(0, 1, "a", 3),
        snapshot(0, 1, "b", 4, part=0.5),
    ):
        writer.snapshot(each.to_json())
    writer.finish({})
    seen = [(one.interval, one.stage, one.count("published")) for one in open_run(writer.path).timeline()]
    assert seen == [(0, "a", 3), (1, "a", 3), (1, "b", 9)]
    first = open_run(writer.path).timeline()[0]
    assert first.gauge("connected") == 6.0
    assert first.select("send_lag").count == 2


def test_runs_of_one_second_get_folders_of_their_own_and_latest_is_the_newest(tmp_path: Path) -> None:
    writers = [RunWriter(tmp_path, "a name/with: odd", "name: x\n", {}) for _ in range(3)]
    assert len({writer.path for writer in writers}) == 3
    assert (tmp_path / "latest").resolve() == writers[-1].path
    assert all(writer.path.parent == tmp_path for writer in writers)
    assert "a-name-with--odd" in writers[0].id
    for writer in writers:
        writer.finish({})


def test_a_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    RunWriter(tmp_path, "x", "name: x\n", {}).finish({})
    assert (tmp_path / "latest").is_dir()
    assert not (tmp_path / "latest").is_symlink()
    assert not list(tmp_path.glob(".latest*"))


def test_folders_that_hold_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        open_run(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"holds no scenario\.yaml"):
        open_run(tmp_path)
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.finish({})
    for damaged in ("{", "[]", "\x00"):
        (writer.path / "result.json").write_text(damaged)
        with pytest.raises(ConfigError, match=r"result\.json"):
            open_run(writer.path)


def test_result_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(ConfigError, match=r"is not complete: No space left on device \(make room there"):
        writer.finish({"a": 1})
    assert open_run(writer.path).result == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_does_not_stop_a_run_and_is_told_at_its_end(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer._snapshots.close()
    writer._snapshots = open("/dev/full", "a", encoding="utf-8")  # noqa: PTH123, SIM115
    for interval in range(200):
        writer.snapshot(snapshot(0, interval).to_json())
        writer.event({"event": "a"})
        writer.flush()
    with pytest.raises(ConfigError, match="No space left on device"):
        writer.finish({"a": 1})
    assert open_run(writer.path).result == {"a": 1}
    assert len(open_run(writer.path).events()) == 200


def test_values_that_json_does_not_know_do_not_lose_a_run(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.finish({"path": tmp_path})
    assert json.loads((writer.path / "result.json").read_text()) == {"path": str(tmp_path)}


def test_run_numbers_differ() -> None:
    numbers = {run_number() for _ in range(100)}
    assert len(numbers) > 90
    assert all(0 <= number < 1 << 64 for number in numbers)
