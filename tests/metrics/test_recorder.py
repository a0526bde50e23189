from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.recorder import GroupRecorder, Recorder
from loadgen.metrics.snapshot import Snapshot, merge_time

if TYPE_CHECKING:
    from collections.abc import Mapping


def take(recorder: Recorder, interval: int = 0, gauges: Mapping[str, float] | None = None) -> Snapshot:
    return recorder.snapshot(interval=interval, start_ns=0, end_ns=1, stage="hold", gauges=gauges)


def test_what_is_put_in_comes_out_once() -> None:
    recorder = Recorder(worker=3)
    sensors = recorder.group("sensors")
    sensors.publish_latency.extend([1_000_000, 2_000_000])
    sensors.published += 2
    sensors.count_code("connack_codes", "0x86")
    sensors.count_code("connack_codes", "0x86")
    recorder.loop_lag.append(5_000)
    assert recorder.group("sensors") is sensors

    first = take(recorder, 0, {"rss": 5.0})
    assert (first.worker, first.interval, first.stage) == (3, 0, "hold")
    assert first.histograms == {
        "publish_latency|sensors": Histogram([1_000_000, 2_000_000]),
        "loop_lag|": Histogram([5_000]),
    }
    assert first.counters == {"published|sensors": 2, "connack_codes:0x86|sensors": 2}
    assert first.gauges == {"rss": 5.0}

    second = take(recorder, 1)
    assert (second.histograms, second.counters, second.gauges) == ({}, {}, {})


def test_a_bound_append_lives_on_through_drains_and_snapshots() -> None:
    recorder = Recorder()
    append, lag = recorder.group("a").send_lag.append, recorder.loop_lag.append
    taken = []
    for interval in range(3):
        for _ in range(4):
            append(1_000 * interval)
            lag(7)
            recorder.drain()
        append(9_000)
        taken.append(take(recorder, interval))
    assert [snapshot.select("send_lag").count for snapshot in taken] == [5, 5, 5]
    assert merge_time(taken).select("loop_lag") == Histogram([7] * 12)


def test_a_taken_snapshot_is_not_touched_again() -> None:
    recorder = Recorder()
    group = recorder.group("a")
    group.send_lag.append(1)
    group.count_code("connect_errors", "refused")
    snapshot = take(recorder)
    group.send_lag.append(2)
    group.count_code("connect_errors", "refused")
    recorder.drain()
    assert snapshot.select("send_lag") == Histogram([1])
    assert snapshot.codes("connect_errors") == {"refused": 1}


def test_codes_cannot_break_the_keys() -> None:
    recorder = Recorder()
    recorder.group("a").count_code("connect_errors", "odd|name: x")
    assert take(recorder).codes("connect_errors", "a") == {"odd/name: x": 1}


def test_groups_are_kept_apart() -> None:
    recorder = Recorder()
    recorder.group("a").received += 1
    recorder.group("b").received += 2
    snapshot = take(recorder)
    assert (snapshot.count("received", "a"), snapshot.count("received", "b")) == (1, 2)
    assert snapshot.count("received") == 3


def test_what_is_told_apart_by_node_is_in_the_groups_figures_too() -> None:
    recorder = Recorder()
    group = recorder.group("g")
    first, second = group.at("a:1"), group.at("b:2")
    assert first.at("b:2") is second, "a client that moves"
    group.publish_latency.append(1_000_000)
    first.publish_latency.extend([2_000_000, 3_000_000])
    second.publish_latency.append(4_000_000)
    first.published += 2
    second.published += 1
    first.count_code("connack_codes", "0x00")
    second.count_code("connack_codes", "0x00")
    found = take(recorder)
    assert found.select("publish_latency").count == 4
    assert found.select("publish_latency@a:1", "g").count == 2
    assert found.select("publish_latency@b:2").max == 4_000_000
    assert (found.count("published"), found.count("published@a:1", "g")) == (3, 2)
    assert found.codes("connack_codes") == {"0x00": 2}
    assert recorder.count("published") == 0, "the next interval starts at zero"
    assert take(recorder).histograms == {}


def test_a_recorder_that_is_in_no_snapshot_tells_no_nodes_apart() -> None:
    alone = GroupRecorder("g")
    assert alone.at("a:1") is alone
