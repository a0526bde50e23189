"""Percentile files, held against the hdrhistogram package's own."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.report.hgrm import render, write_hgrm
from loadgen.store import open_run
from tests.made_run import make_run

if TYPE_CHECKING:
    from pathlib import Path


def plotted(text: str) -> list[tuple[float, float, int, float]]:
    """What HdrHistogram's plotter reads: lines of four numbers that do not begin with `#`."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        if not line.startswith("#") and len(parts) == 4 and parts[0] != "Value":
            value, percentile, count, odds = parts
            found.append((float(value), float(percentile), int(count), float(odds)))
    return found


@pytest.mark.parametrize("count", [1, 2, 7, 1_000, 20_000])
def test_the_values_are_those_of_the_hdrhistogram_package(count: int) -> None:
    draw = random.Random(count)
    samples = [int(draw.lognormvariate(15, 1)) for _ in range(count)]
    histogram = Histogram(samples)
    reference = histogram.to_hdr()
    ends = sorted(reference.get_highest_equivalent_value(sample) for sample in samples)
    points = plotted(render(histogram))
    assert points[0][1] == 0.0
    for value, level, seen, odds in points:
        end = ends[max(math.ceil(round(level * count, 6)), 1) - 1]
        # Never above the exact maximum: there the package gives the end of the bucket.
        assert value == pytest.approx(min(end, histogram.max) / 1e6, abs=0.00051)
        assert seen == sum(each <= end for each in ends)
        assert odds == pytest.approx(1 / (1 - level), abs=0.0051, rel=1e-6)
    last = [line for line in render(histogram).splitlines() if not line.startswith("#")][-1].split()
    assert last == [f"{histogram.max / 1e6:.3f}", "1.000000000000", str(count)]


def test_the_levels_halve_the_distance_to_the_maximum_in_five_steps() -> None:
    levels = [
        level for _, level, *_ in plotted(render(Histogram(range(1_000_000, 2_000_000_000, 1_000_000))))
    ]
    assert levels[:12] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.775]
    assert levels == sorted(levels)
    assert levels[-1] > 0.999


def test_the_summary_lines() -> None:
    text = render(Histogram([1_000_000, 3_000_000]))
    assert "#[Mean    =        2.000, StdDeviation   =        1.000]" in text
    assert "#[Max     =        3.000, Total count    =            2]" in text
    assert text.splitlines()[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]


def test_a_file_for_each_metric_and_group(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path / "runs"))
    written = write_hgrm(run, tmp_path / "out")
    names = {path.name for path in written}
    assert names == {f"{metric}.hgrm" for metric in run.metrics}  # each metric is of one group here
    points = plotted((tmp_path / "out" / "publish_latency.hgrm").read_text())
    for percent in (50, 90):
        (value,) = [value for value, level, *_ in points if level == pytest.approx(percent / 100)]
        assert value == pytest.approx(run.histogram("publish_latency").percentile(percent) * 1e3, abs=1e-3)


def test_groups_of_one_metric_have_files_of_their_own(tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs")
    text = (
        (path / "snapshots.jsonl").read_text().replace("delivery_latency|dashboards", "send_lag|dashboards")
    )
    (path / "snapshots.jsonl").write_text(text)
    plan = (path / "plan.json").read_text().replace('"devices"', '"dev/ices"')
    (path / "plan.json").write_text(plan)
    (path / "snapshots.jsonl").write_text(text.replace("|devices", "|dev/ices"))
    names = {each.name for each in write_hgrm(open_run(path), tmp_path / "out")}
    assert {"send_lag.hgrm", "send_lag.dev-ices.hgrm", "send_lag.dashboards.hgrm"} <= names


def test_a_run_without_samples_has_no_files(tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs")
    (path / "snapshots.jsonl").write_text("")
    assert write_hgrm(open_run(path), tmp_path / "out") == []
