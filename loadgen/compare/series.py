"""Percentiles over time of both sides, unit by unit: what the charts lay over each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.columns import Columns
    from loadgen.compare.sides import Sides

PERCENTS = (50.0, 99.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One side of a metric."""

    time: list[float]
    """Seconds since the first recorded stage began, one for each unit."""
    percentiles: list[list[float]]
    """For each of `PERCENTS` the value in each unit, seconds; NaN without a sample."""


def overlaid(sides: Sides, metric: str) -> tuple[Series, Series]:
    """Both sides on one axis of time: the same place of a stage stands at the same time."""
    seconds = sides.base[0].seconds
    time = (np.cumsum(seconds) - seconds).tolist()
    return Series(time, _percentiles(sides.base, metric, len(time))), Series(
        time, _percentiles(sides.runs, metric, len(time))
    )


def _percentiles(side: Sequence[Columns], metric: str, units: int) -> list[list[float]]:
    """Of several runs the mean of their percentiles."""
    found = [each.distributions[metric, ""] for each in side if (metric, "") in each.distributions]
    if not found:
        return [[float("nan")] * units for _ in PERCENTS]
    each_unit = np.eye(units)
    stacked = np.stack([one.quantiles(each_unit, PERCENTS) for one in found])
    there = np.isfinite(stacked)
    counted = there.sum(axis=0)
    sums = np.where(there, stacked, 0.0).sum(axis=0)
    means = np.where(counted > 0, sums / np.maximum(counted, 1), np.nan)
    return [means[:, place].tolist() for place in range(len(PERCENTS))]
