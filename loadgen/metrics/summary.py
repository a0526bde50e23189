"""The figures of a histogram that people read, in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.metrics.histogram import Histogram

PERCENTILES: dict[str, float] = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}
"""The percentiles of a summary, by their key in `result.json`."""

NS = 1e-9
"""Seconds in a nanosecond."""


def summarise(histogram: Histogram) -> dict[str, int | float | None]:
    """Give count, mean, min, p50, p90, p95, p99, p99_9, max and out_of_range.

    Returns:
        Durations in seconds, None when nothing was recorded; `count` is the samples in range.
    """
    if not histogram.count:
        durations: dict[str, float | None] = dict.fromkeys(("mean", "min", *PERCENTILES, "max"))
    else:
        values = histogram.percentiles(tuple(PERCENTILES.values()))
        durations = {
            "mean": histogram.mean * NS,
            "min": histogram.min * NS,
            **{name: value * NS for name, value in zip(PERCENTILES, values, strict=True)},
            "max": histogram.max * NS,
        }
    return {"count": histogram.count, **durations, "out_of_range": histogram.out_of_range}
