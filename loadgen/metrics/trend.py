"""The slope of a series over time with its confidence interval, for noise that remembers its past.

The slope is Theil and Sen's: the median of the slopes between all pairs of points, which outliers hardly
move (Sen 1968, "Estimates of the regression coefficient based on Kendall's tau", JASA 63). Its usual
confidence interval takes the points for independent. Latency percentiles and memory are not: each point
resembles the one before, and a series that wanders looks like a trend. So the noise is taken to be a
first-order autoregressive process (as in Santer et al. 2000, "Statistical significance of trends", JGR 105):

- its correlation is the one whose residuals about a fitted line would show, on average, the lag-1
  correlation that is seen (residuals show less than the noise has; with 30 points that matters a lot);
- with it, the variance of a slope over just these points and the degrees of freedom (Satterthwaite) follow
  exactly, without the usual approximation by an effective sample size.

How often it is wrong was measured with made series (docs/scenario.md, `drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CONFIDENCE = 0.95
"""The interval holds the slope in this share of cases."""
FEWEST_POINTS = 20
"""With fewer the correlation cannot be told."""
MOST_POINTS = 60
"""More tell nothing more of a line and cost time; longer series are averaged down to this."""

_EFFICIENCY = 1.05
"""How much wider the slope of Theil and Sen spreads than that of least squares, in normal noise."""
_CORRELATIONS = np.concatenate([np.arange(0.0, 0.9, 0.02), np.arange(0.9, 0.995, 0.01)])


@dataclass(frozen=True, slots=True)
class Trend:
    """A line through a series: units of the series per second."""

    slope: float
    low: float
    """Lower end of the slope's confidence interval."""
    high: float
    """Upper end of it."""
    level: float
    """The median of the first quarter of the points. Where noise is large, the line's own beginning may be
    anything, even below zero."""
    seconds: float
    """From the first point to the last."""
    points: int


def fit_trend(times: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Fit a line.

    Args:
        times: seconds, rising.
        values: one for each time.

    Returns:
        The line, None when there are fewer than `FEWEST_POINTS`.
    """
    if len(times) < FEWEST_POINTS:
        return None
    at, series = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(at), 1)
    slope = float(np.median((series[second] - series[first]) / (at[second] - at[first])))
    rest = series - slope * at
    half = _half_width(at, rest - rest.mean())
    return Trend(
        slope=slope,
        low=slope - half,
        high=slope + half,
        level=float(np.median(series[: max(len(at) // 4, 1)])),
        seconds=float(at[-1] - at[0]),
        points=len(at),
    )


def average(
    times: Sequence[float], values: Sequence[float], most: int = MOST_POINTS
) -> tuple[list[float], list[float]]:
    """Average neighbours, equally many each time, until there are at most `most` points."""
    size = -(-len(times) // most) if times else 1
    spans = [slice(start, start + size) for start in range(0, len(times), size)]
    return [_mean(times[span]) for span in spans], [_mean(values[span]) for span in spans]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _half_width(at: Array, residuals: Array) -> float:
    """Half the width of the slope's confidence interval."""
    power = float(residuals @ residuals)
    if power <= 0:
        return 0.0  # a straight line
    seen = float(residuals[1:] @ residuals[:-1]) / power
    points = len(at)
    centred = at - at.mean()
    weights = centred / (centred @ centred)
    line = np.stack([np.ones(points), centred], axis=1)
    # Takes a series to its residuals about the line of least squares.
    remover = np.eye(points) - line @ np.linalg.inv(line.T @ line) @ line.T
    steps = np.abs(np.subtract.outer(at, at)) / float(np.median(np.diff(at)))
    low, high = 0, len(_CORRELATIONS) - 1
    while low < high:  # the smallest correlation that would show at least what is seen
        middle = (low + high) // 2
        left = remover @ _correlated(steps, middle) @ remover
        if float(np.trace(left, offset=1) / np.trace(left)) < seen:
            low = middle + 1
        else:
            high = middle
    noise = _correlated(steps, low)
    left = remover @ noise
    total = float(np.trace(left))
    variance = power * float(weights @ noise @ weights) / total
    freedom = total**2 / float(np.sum(left * left.T))
    return _student(freedom) * _EFFICIENCY * float(np.sqrt(variance))


def _correlated(steps: Array, index: int) -> Array:
    """The correlation between all points of such noise."""
    correlation = float(_CORRELATIONS[index])
    matrix: Array = np.where(steps == 0, 1.0, correlation**steps)
    return matrix


def _student(freedom: float) -> float:
    """The two-sided quantile of Student's t, within 3 % from two degrees of freedom on.

    Its expansion around the normal quantile (Abramowitz and Stegun 26.7.5).
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    v = max(freedom, 2.0)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
