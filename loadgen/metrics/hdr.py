"""To and from the `hdrhistogram` package's own histogram, whose log format other people's viewers open."""

from __future__ import annotations

import sys

from hdrh.histogram import HdrHistogram

from loadgen.metrics.histogram import DIGITS, HIGHEST_NS, LOWEST_NS, Histogram


def to_hdr(histogram: Histogram) -> HdrHistogram:
    """Give the same histogram as an `HdrHistogram`; what was out of range is left out."""
    made = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for index, count in histogram.counts.items():
        made.counts[index] = count
    made.total_count = histogram.count
    if histogram.count:
        made.min_value, made.max_value = histogram.min, histogram.max
    return made


def from_hdr(histogram: HdrHistogram) -> Histogram:
    """Take over an `HdrHistogram`; the exact sum is not in it, so the mean is right to the bucket only.

    Raises:
        ValueError: Its range or its digits differ from ours.
    """
    shape = (
        histogram.lowest_trackable_value,
        histogram.highest_trackable_value,
        histogram.significant_figures,
    )
    if shape != (LOWEST_NS, HIGHEST_NS, DIGITS):
        raise ValueError(f"a histogram of {shape} instead of {(LOWEST_NS, HIGHEST_NS, DIGITS)}")
    made = Histogram()
    for index, count in enumerate(histogram.counts):
        if count:
            made.counts[index] = count
    made.count = histogram.total_count
    made.total = round(histogram.get_mean_value() * made.count)
    made.min = 0 if histogram.min_value == sys.maxsize else histogram.min_value
    made.max = histogram.max_value
    return made
