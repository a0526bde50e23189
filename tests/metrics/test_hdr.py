from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.metrics.histogram import HIGHEST_NS, Histogram

values = st.lists(st.integers(0, HIGHEST_NS), max_size=30)


@given(values)
def test_the_package_reads_ours(samples: list[int]) -> None:
    ours, theirs = Histogram(samples).to_hdr(), HdrHistogram(1_000, HIGHEST_NS, 3)
    for value in samples:
        theirs.record_value(value)
    assert ours.encode() == theirs.encode()
    assert ours.get_min_value() == theirs.get_min_value()
    assert ours.get_max_value() == theirs.get_max_value()


@settings(max_examples=30)
@given(values)
def test_there_and_back_keeps_everything_but_the_exact_sum(samples: list[int]) -> None:
    ours = Histogram(samples)
    back = Histogram.from_hdr(ours.to_hdr())
    assert back.mean == pytest.approx(ours.mean, rel=1e-3, abs=512)
    back.total = ours.total
    assert back == ours


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="instead of"):
        Histogram.from_hdr(HdrHistogram(1, 1_000, 2))
