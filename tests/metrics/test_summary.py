from __future__ import annotations

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.summary import summarise


def test_figures_are_in_seconds() -> None:
    figures = summarise(Histogram([*(ms * 1_000_000 for ms in range(1, 1_001)), -1]))
    assert list(figures) == [
        "count",
        "mean",
        "min",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99_9",
        "max",
        "out_of_range",
    ]
    assert (figures["count"], figures["out_of_range"]) == (1_000, 1)
    expected = {
        "mean": 0.5005,
        "min": 0.001,
        "p50": 0.5,
        "p90": 0.9,
        "p95": 0.95,
        "p99": 0.99,
        "p99_9": 0.999,
    }
    for name, value in {**expected, "max": 1.0}.items():
        assert figures[name] == pytest.approx(value, rel=1e-3), name


def test_an_empty_histogram_has_no_durations() -> None:
    figures = summarise(Histogram([-1]))
    assert (figures.pop("count"), figures.pop("out_of_range")) == (0, 1)
    assert set(figures.values()) == {None}
