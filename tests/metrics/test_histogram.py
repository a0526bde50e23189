from __future__ import annotations

import base64
import itertools
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.metrics.histogram import HIGHEST_NS, Histogram, highest_at, index_of, lowest_at

in_range = st.one_of(
    st.integers(0, 3_000),
    st.integers(1_000_000, 1_100_000),
    st.integers(0, HIGHEST_NS),
    st.integers(0, 41).flatmap(lambda bits: st.sampled_from([(1 << bits) - 1, 1 << bits, (1 << bits) + 1])),
)
anything = st.one_of(in_range, st.integers(-(10**6), 2 * HIGHEST_NS))
samples = st.lists(anything, max_size=60)


def reference(values: list[int]) -> HdrHistogram:
    made = HdrHistogram(1_000, HIGHEST_NS, 3)
    for value in values:
        assert made.record_value(value)
    return made


@given(st.integers(0, HIGHEST_NS))
@example(0)
@example(HIGHEST_NS)
def test_a_value_lies_in_its_bucket_and_buckets_join(value: int) -> None:
    index = index_of(value)
    assert lowest_at(index) <= value <= highest_at(index)
    assert index_of(lowest_at(index)) == index_of(highest_at(index)) == index
    assert highest_at(index) - lowest_at(index) <= max(511, value / 1000)


@settings(max_examples=40)
@given(st.lists(in_range, min_size=1, max_size=60), st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_it_says_what_the_hdrhistogram_package_says(values: list[int], percents: list[float]) -> None:
    ours, theirs = Histogram(values), reference(values)
    for percent in [*percents, 50, 90, 95, 99, 99.9, 100]:
        expected = theirs.get_value_at_percentile(percent)
        assert ours.percentile(percent) == (min(expected, max(values)) if percent else min(values))
    assert ours.percentiles(percents) == [ours.percentile(percent) for percent in percents]
    assert theirs.values_are_equivalent(ours.max, theirs.get_max_value())
    assert ours.mean == pytest.approx(theirs.get_mean_value(), rel=1e-3, abs=512)
    assert {index: count for index, count in enumerate(theirs.counts) if count} == dict(ours.counts)


@given(samples)
def test_nothing_is_dropped_in_silence(values: list[int]) -> None:
    histogram = Histogram(values)
    kept = [value for value in values if 0 <= value <= HIGHEST_NS]
    assert histogram.count == len(kept) == sum(histogram.counts.values())
    assert histogram.out_of_range == len(values) - len(kept)
    assert (histogram.total, histogram.min, histogram.max) == (
        sum(kept),
        min(kept, default=0),
        max(kept, default=0),
    )
    assert histogram.mean == pytest.approx(sum(kept) / len(kept) if kept else 0.0)


@given(samples, samples, samples)
def test_histograms_are_a_commutative_monoid(a: list[int], b: list[int], c: list[int]) -> None:
    x, y, z = Histogram(a), Histogram(b), Histogram(c)
    assert x + Histogram() == x == Histogram() + x
    assert (x + y) + z == x + (y + z) == Histogram(a + b + c)
    assert x + y == y + x
    assert x == Histogram(a)
    assert y == Histogram(b)


@given(samples, samples)
def test_adding_in_place_and_one_by_one_comes_to_the_same(a: list[int], b: list[int]) -> None:
    grown = Histogram(a)
    grown += Histogram(b)
    single = Histogram()
    for value in a + b:
        single.record(value)
    assert grown == single == Histogram(a + b)


def test_adding_a_histogram_to_itself_doubles_it() -> None:
    histogram = Histogram([5, 5_000_000, -1])
    histogram += histogram
    assert histogram == Histogram([5, 5_000_000, -1] * 2)


@given(samples, st.sampled_from([1, 255, 256, 65_536, 2**32]))
def test_the_text_form_comes_back_equal(values: list[int], times: int) -> None:
    histogram = Histogram(values)
    for index in list(histogram.counts)[:1]:
        # Counts too large to record one by one.
        histogram.counts[index] += times
        histogram.count += times
    text = histogram.encode()
    assert text.isascii()
    assert "\n" not in text
    assert Histogram.decode(text) == histogram


def test_damage_is_told_and_not_read() -> None:
    text = Histogram([1_000, 2_000_000]).encode()
    body = zlib.decompress(base64.b64decode(text))
    longer = base64.b64encode(zlib.compress(body + b"\0")).decode()
    other_version = base64.b64encode(zlib.compress(b"\xff" + body[1:])).decode()
    for damaged in ("", "%%%", text[: len(text) // 2], "é", longer, other_version, "AAAA"):
        with pytest.raises(ValueError, match="damaged histogram"):
            Histogram.decode(damaged)


def test_an_empty_one_is_all_zeros_and_false() -> None:
    empty = Histogram()
    assert not empty
    assert (empty.count, empty.mean, empty.percentile(99)) == (0, 0.0, 0)
    assert Histogram([-1])
    assert empty != 0
    assert "0 samples" in repr(empty)


def test_a_copy_is_independent() -> None:
    histogram = Histogram([1_000_000])
    copy = histogram.copy()
    copy.record(1)
    assert histogram == Histogram([1_000_000])
    assert copy != histogram


def test_percentiles_rise() -> None:
    histogram = Histogram([value**3 for value in range(2_000)])
    values = histogram.percentiles([p / 10 for p in range(1_001)])
    assert all(a <= b for a, b in itertools.pairwise(values))
