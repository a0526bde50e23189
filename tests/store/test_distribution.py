from __future__ import annotations

import math

import pytest

from loadgen.metrics.histogram import Histogram
from loadgen.store import Distribution


def test_an_empty_one_has_no_figures() -> None:
    empty = Distribution(Histogram())
    assert not empty
    assert empty.count == 0
    assert all(math.isnan(each) for each in (empty.min, empty.max, empty.mean, empty.percentile(50)))
    assert empty.spectrum() == []
    assert empty.summary()["p99"] is None
    assert repr(empty) == "Distribution(no samples)"


def test_what_is_out_of_range_is_counted_and_in_no_figure() -> None:
    one = Distribution(Histogram([2_000_000_000, 3_600_000_000_001]))
    assert (one.count, one.out_of_range, one.max) == (1, 1, 2.0)
    assert math.isnan(Distribution(Histogram([-1])).max)


def test_the_spectrum_is_fine_at_the_tail_and_ends_at_the_maximum() -> None:
    found = Distribution(Histogram([1_000_000 * each for each in range(1, 10_001)]))
    spectrum = found.spectrum()
    percents = [percent for percent, _ in spectrum]
    assert percents == sorted(percents)
    assert percents[0] == 0.0
    assert any(percent == pytest.approx(99.9) for percent in percents)
    assert spectrum[-1] == (100.0, 10.0)
    (at_99,) = [value for percent, value in spectrum if percent == pytest.approx(99.0)]
    assert at_99 == found.percentile(99)
    assert len(spectrum) == 4 * 12 + 1


def test_the_spectrum_of_one_sample() -> None:
    assert Distribution(Histogram([5_000_000])).spectrum() == [(100.0, 0.005)]


def test_two_add_up() -> None:
    one, other = Distribution(Histogram([1_000_000])), Distribution(Histogram([3_000_000]))
    both = one + other
    assert (both.count, both.mean, one.count) == (2, 0.002, 1)
    assert "2 samples" in repr(both)
