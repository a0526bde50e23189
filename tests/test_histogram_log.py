"""histograms.hlog as other people's readers see it: the hdrhistogram package's own."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadgen.histogram_log import write_histogram_log
from loadgen.metrics.histogram import DIGITS, HIGHEST_NS, LOWEST_NS, Histogram
from loadgen.metrics.snapshot import Snapshot
from loadgen.metrics.summary import PERCENTILES
from loadgen.store import RunWriter, open_run
from tests.made_run import make_run

if TYPE_CHECKING:
    from pathlib import Path


def read_log(path: Path) -> dict[str, list[HdrHistogram]]:
    """The histograms of a log by tag, in order."""
    reader = HistogramLogReader(str(path), HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS))
    found: dict[str, list[HdrHistogram]] = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found.setdefault(histogram.get_tag(), []).append(histogram)
    reader.close()
    return found


def total(histograms: list[HdrHistogram]) -> HdrHistogram:
    made = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for one in histograms:
        made.add(one)
    return made


def a_run(tmp_path: Path) -> tuple[RunWriter, list[int]]:
    """Two workers, three seconds, one stage boundary inside a second."""
    writer = RunWriter(tmp_path / "runs", "x", "name: x\n", {})
    chance = random.Random(1)
    samples: list[int] = []
    for interval, start, end, stage in (
        (0, 0.0, 1.0, "connect"),
        (1, 1.0, 1.4, "connect"),
        (1, 1.4, 2.0, "steady"),
        (2, 2.0, 3.0, "steady"),
    ):
        for worker in (0, 1):
            mine = [int(chance.lognormvariate(15, 1)) for _ in range(200)]
            samples += mine
            writer.snapshot(
                Snapshot(
                    worker=worker,
                    interval=interval,
                    start_ns=int(7e9 + start * 1e9),
                    end_ns=int(7e9 + end * 1e9),
                    stage=stage,
                    histograms={
                        "publish_latency|a": Histogram(mine[:150]),
                        "publish_latency|b": Histogram(mine[150:]),
                        "loop_lag|": Histogram([1000 * (worker + 1)]),
                        "connect_time|a": Histogram(),
                    },
                ).to_json()
            )
    writer.finish({"started_at": "2026-01-02T03:04:05+00:00"})
    return writer, samples


def test_the_log_reader_gives_our_percentiles(tmp_path: Path) -> None:
    writer, samples = a_run(tmp_path)
    path = write_histogram_log(open_run(writer.path))
    assert path == writer.path / "histograms.hlog"
    log = read_log(path)
    assert set(log) == {"publish_latency", "loop_lag"}  # what has no sample has no line
    assert len(log["publish_latency"]) == 4
    whole, ours = total(log["publish_latency"]), Histogram(samples)
    assert whole.get_total_count() == len(samples)
    for percent in (50.0, 90.0, 95.0, 99.0, 99.9):
        assert whole.get_value_at_percentile(percent) == ours.percentile(percent)


def test_the_log_reader_gives_the_percentiles_of_the_result_and_of_a_notebook(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path))
    log = read_log(write_histogram_log(run))
    recorded = {name: summary for name, summary in run.result["metrics"].items() if summary["count"]}
    assert set(log) == set(recorded)
    for name, summary in recorded.items():
        whole, notebook = total(log[name]), run.histogram(name)
        assert whole.get_total_count() == summary["count"]
        for key, percent in PERCENTILES.items():
            # The package gives the end of the last bucket, we no more than the exact maximum.
            theirs = min(whole.get_value_at_percentile(percent) / 1e9, summary["max"])
            assert theirs == pytest.approx(summary[key], abs=1e-9), (name, key)
            assert notebook.percentile(percent) == summary[key]


def test_times_are_those_of_the_run(tmp_path: Path) -> None:
    writer, _ = a_run(tmp_path)
    log = read_log(write_histogram_log(open_run(writer.path)))
    started = 1767323045.0  # 2026-01-02T03:04:05Z
    starts = [one.get_start_time_stamp() / 1000 - started for one in log["publish_latency"]]
    assert starts == pytest.approx([0.0, 1.0, 1.4, 2.0])
    ends = [one.get_end_time_stamp() / 1000 - started for one in log["publish_latency"]]
    assert ends == pytest.approx([1.0, 1.4, 2.0, 3.0])


def test_lines_are_of_the_standard_form(tmp_path: Path) -> None:
    writer, _ = a_run(tmp_path)
    lines = write_histogram_log(open_run(writer.path)).read_text().splitlines()
    assert "#[Histogram log format version 1.3]" in lines
    data = [line for line in lines if not line.startswith(("#", '"'))]
    for line in data:
        assert re.fullmatch(r"Tag=[a-z_]+,\d+\.\d{3},\d+\.\d{3},\d+\.\d{3},HIST[A-Za-z0-9+/=]+", line)
    maximum = max(float(line.split(",")[3]) for line in data if line.startswith("Tag=loop_lag,"))
    assert maximum == 0.002  # milliseconds


def test_a_killed_run_has_a_log_too(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.snapshot(Snapshot(0, 0, 5, 10, "s", {"send_lag|g": Histogram([2000])}).to_json())
    writer.flush()
    log = read_log(write_histogram_log(open_run(writer.path)))
    assert log["send_lag"][0].get_total_count() == 1
    writer.finish({})


def test_an_empty_run_has_an_empty_log(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "x", "name: x\n", {})
    writer.finish({})
    assert read_log(write_histogram_log(open_run(writer.path))) == {}
