"""From figures with their uncertainty to rows with a finding; all intervals share one level of confidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadgen.compare.estimate import Estimate
from loadgen.compare.model import Finding, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.compare.measures import Measure


def judged_of(measures: Sequence[Measure]) -> int:
    """How many of the figures have an interval, and so share the level of confidence."""
    return sum(isinstance(each.estimate, Estimate) for each in measures)


def rows_of(measures: Sequence[Measure], *, tolerance: float, confidence: float) -> list[Row]:
    """Judge every figure.

    Args:
        measures: the figures.
        tolerance: the change that is no regression, as a portion.
        confidence: that no interval at all misses its value, as a portion (Bonferroni: each interval has
            `1 - (1 - confidence) / n`, with n intervals).
    """
    alpha = (1 - confidence) / max(judged_of(measures), 1)
    return [_row(each, tolerance, alpha) for each in measures]


def _row(measure: Measure, tolerance: float, alpha: float) -> Row:
    change = measure.run / measure.base - 1 if measure.base and measure.run is not None else None
    if measure.exact:
        return _exact(measure, change)
    if not isinstance(measure.estimate, Estimate):
        return _plain(measure, Finding.SHOWN, change, measure.estimate)
    if measure.plain:
        return _of_count(measure, measure.estimate, change, tolerance, alpha)
    return _of_ratio(measure, measure.estimate, change, tolerance, alpha)


def _exact(measure: Measure, change: float | None) -> Row:
    """A promise is broken or kept, and a rate is there or not: chance has no part in it."""
    more = measure.worse * ((measure.run or 0.0) - (measure.base or 0.0))
    if more > 0:
        return _plain(
            measure, Finding.REGRESSION, change, "it stopped" if measure.worse < 0 else "broken promises"
        )
    return _plain(measure, Finding.IMPROVEMENT if more < 0 else Finding.SAME, change, "")


def _of_ratio(
    measure: Measure, estimate: Estimate, change: float | None, tolerance: float, alpha: float
) -> Row:
    half = estimate.half_width(alpha)
    low, high = (_portion(estimate.difference + sign * half) for sign in (-1, 1))
    floor = measure.floor / measure.base if measure.base else 0.0
    limit = max(tolerance, floor)
    # Seen so that more is worse.
    least, most = (low, high) if measure.worse > 0 else (-high, -low)
    finding, reason = Finding.UNCLEAR, ""
    if least > limit:
        finding = Finding.REGRESSION
    elif most < -limit:
        finding = Finding.IMPROVEMENT
    elif least >= -tolerance and most <= tolerance:
        finding = Finding.SAME
    elif limit > tolerance:
        reason = "too close to loadgen's own lateness"
    return _plain(measure, finding, change, reason, (low, high, limit))


def _of_count(
    measure: Measure, estimate: Estimate, change: float | None, tolerance: float, alpha: float
) -> Row:
    half = estimate.half_width(alpha)
    low, high = estimate.difference - half, estimate.difference + half
    allowed = tolerance * measure.base_rate
    if low > allowed:
        return _plain(measure, Finding.REGRESSION, change, "more often, all through the run")
    if high < -allowed:
        return _plain(measure, Finding.IMPROVEMENT, change, "less often, all through the run")
    same = low >= -allowed and high <= allowed
    return _plain(measure, Finding.SAME if same else Finding.UNCLEAR, change, "" if same else "may be chance")


def _plain(
    measure: Measure,
    finding: Finding,
    change: float | None,
    reason: str,
    interval: tuple[float, float, float] | None = None,
) -> Row:
    low, high, limit = interval or (None, None, None)
    return Row(
        measure.metric,
        measure.group,
        measure.statistic,
        measure.unit,
        measure.base,
        measure.run,
        finding,
        change,
        low,
        high,
        limit,
        reason,
        measure.worse,
    )


def _portion(logarithm: float) -> float:
    """A difference of logarithms as a change; bounded, for a figure of which next to nothing is known."""
    return math.expm1(min(logarithm, 50.0))
