from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import merge_time
from loadgen.report.series import MAX_POINTS, read_series, spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.metrics.snapshot import Snapshot


def test_no_snapshots_give_no_points() -> None:
    series = read_series([], [])
    assert series.time == []
    assert series.spectrum == {}


def test_a_long_run_is_summed_and_loses_no_message(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(n, "steady", published=2) for n in range(4 * MAX_POINTS - 7)]
    series = read_series(seconds, [])
    assert len(series.time) <= MAX_POINTS
    assert series.stages["steady"].counters["published"] == 2 * len(seconds)
    assert series.columns["published"] == pytest.approx([2.0] * len(series.time))


def test_percentiles_are_those_of_the_summed_histograms(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(n, "steady", published=50) for n in range(2 * MAX_POINTS)]
    series = read_series(seconds, [])
    pair = merge_time(seconds[:2]).select("publish_latency")
    assert series.columns["publish_latency_p99"][0] == pair.percentile(99.0) / 1e9
    assert series.columns["publish_latency_max"][0] == pair.max / 1e9


def test_a_run_read_one_second_at_a_time_gives_the_same(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(n, "steady", published=5, connected=n % 7) for n in range(3, 2 * MAX_POINTS)]
    whole = read_series(seconds, [])
    streamed = read_series(iter(seconds), [], span=range(3, 2 * MAX_POINTS))
    assert streamed.time == whole.time
    assert streamed.columns.keys() == whole.columns.keys()
    for name, values in whole.columns.items():
        assert streamed.columns[name] == pytest.approx(values, nan_ok=True), name
    assert streamed.spectrum == whole.spectrum


def test_a_second_without_samples_is_a_gap_and_not_zero(make_second: Callable[..., Snapshot]) -> None:
    series = read_series([make_second(0, "steady", published=5), make_second(1, "drain")], [])
    assert not math.isnan(series.columns["publish_latency_p50"][0])
    assert math.isnan(series.columns["publish_latency_p50"][1])
    assert series.columns["published"] == [5.0, 0.0]


def test_stages_that_are_not_recorded_stay_out_of_the_spectrum(make_second: Callable[..., Snapshot]) -> None:
    seconds = [make_second(0, "warm-up", published=100), make_second(1, "steady", published=10)]
    stages: list[dict[str, Any]] = [{"name": "warm-up", "record": False}, {"name": "steady", "record": True}]
    xs, _ = read_series(seconds, stages).spectrum["publish_latency"]
    assert xs[-1] == 10


def test_nodes_are_counted_at_the_end_of_a_bin(make_second: Callable[..., Snapshot]) -> None:
    series = read_series([make_second(n, "connect", connected=30 * n) for n in range(4)], [])
    assert series.columns["connected"] == [0, 30, 60, 90]
    assert len(series.nodes) == 3
    assert series.columns["node_0"][-1] == 30


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 5_000])
def test_a_spectrum_rises_and_ends_at_the_largest_sample(count: int) -> None:
    histogram = Histogram([1_000_000 * (n + 1) for n in range(count)])
    xs, ys = spectrum(histogram)
    assert xs == sorted(set(xs))
    assert ys == sorted(ys)
    assert xs[-1] == count
    assert ys[-1] == count / 1000
    assert len(xs) == len(ys)
