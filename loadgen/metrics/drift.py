"""Whether something creeps up while the load stays the same: slopes per hour held against limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from loadgen.metrics.trend import FEWEST_POINTS, Trend, average, fit_trend
from loadgen.metrics.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

DRIFT_UNITS: dict[str, str] = {
    "publish_latency_p99": "seconds",
    "delivery_latency_p99": "seconds",
    "broker_memory": "bytes",
    "generator_memory": "bytes",
    "queue_depth": "messages",
    "connected_clients": "clients",
}
"""What may drift, with its unit."""

FALLS = frozenset({"connected_clients"})
"""What gets worse by getting less."""

_HOUR = 3600.0
_WORTH_SAYING_S = 30 * 24 * _HOUR


class Limit(Protocol):
    """How much may be gained in an hour, as `scenario.drift.DriftLimit` has it."""

    @property
    def per_hour(self) -> float:
        """In the metric's unit; with `relative` a share of the level of the first quarter of the time."""

    @property
    def relative(self) -> bool:
        """Whether it is a share."""

    @property
    def text(self) -> str:
        """As written: `5%/h`."""


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured of one metric."""

    metric: str
    """A name in `DRIFT_UNITS`."""
    times: Sequence[float]
    """Seconds since the start of the run."""
    values: Sequence[float]
    missing: str = ""
    """Why there is nothing to see, when that is known."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """What one metric came to; units per hour. None is what could not be told."""

    metric: str
    unit: str
    points: int
    """Points the line was laid through: averages where there were many."""
    seconds: float | None
    """How long the judged time was."""
    level: float | None
    """What it was in the first quarter of that time, its median."""
    slope: float | None
    low: float | None
    """Lower end of the slope's 95 % confidence interval."""
    high: float | None
    """Upper end of it."""
    limit: str | None
    """As in the scenario; None when it set none: such a row is for information."""
    limit_per_hour: float | None
    """The limit in the metric's unit."""
    verdict: Verdict | None
    """None without a limit."""
    reason: str
    """One line for people; empty when all is well."""

    def to_dict(self) -> dict[str, Any]:
        """Give the object for `result.json`."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "points": self.points,
            "seconds": self.seconds,
            "level": self.level,
            "slope": self.slope,
            "low": self.low,
            "high": self.high,
            "limit": self.limit,
            "limit_per_hour": self.limit_per_hour,
            "verdict": self.verdict.value if self.verdict else None,
            "reason": self.reason,
        }


def judge_drift(series: Series, limit: Limit | None) -> DriftRow:
    """Fit a line and hold its slope against the limit.

    Fails when the whole confidence interval lies beyond the limit, passes when it lies within; between the
    two the run cannot tell, which is no pass.
    """
    trend = fit_trend(*average(series.times, series.values))
    if trend is None:
        why = series.missing or f"{len(series.times)} samples are too few, it takes {FEWEST_POINTS}"
        return _row(series, None, limit, None if limit is None else Verdict.INVALID, why)
    if limit is None:
        return _row(series, trend, None, None, "")
    allowed = _allowed(limit, trend)
    if allowed is None:
        why = f"{limit.text} cannot be judged, it was zero at first; write the limit in {_unit(series)}"
        return _row(series, trend, limit, Verdict.INVALID, why)
    worse = -1.0 if series.metric in FALLS else 1.0
    slope = worse * trend.slope * _HOUR
    low, high = sorted((worse * trend.low * _HOUR, worse * trend.high * _HOUR))
    if low > allowed:
        return _row(series, trend, limit, Verdict.FAIL, f"more than {limit.text}")
    if high <= allowed:
        return _row(series, trend, limit, Verdict.PASS, "")
    why = f"no verdict on {limit.text}: too short or too noisy{_longer(trend, slope, allowed)}"
    return _row(series, trend, limit, Verdict.INVALID, why)


def _allowed(limit: Limit, trend: Trend) -> float | None:
    """The limit in the metric's unit; None when it is a share of nothing."""
    if not limit.relative:
        return limit.per_hour
    return limit.per_hour * trend.level if trend.level > 0 else None


def _unit(series: Series) -> str:
    return DRIFT_UNITS[series.metric]


def _row(
    series: Series,
    trend: Trend | None,
    limit: Limit | None,
    verdict: Verdict | None,
    reason: str,
) -> DriftRow:
    return DriftRow(
        metric=series.metric,
        unit=_unit(series),
        points=trend.points if trend else len(series.times),
        seconds=trend.seconds if trend else None,
        level=trend.level if trend else None,
        slope=trend.slope * _HOUR if trend else None,
        low=trend.low * _HOUR if trend else None,
        high=trend.high * _HOUR if trend else None,
        limit=limit.text if limit else None,
        limit_per_hour=_allowed(limit, trend) if limit and trend else None,
        verdict=verdict,
        reason=reason,
    )


def _longer(trend: Trend, slope: float, allowed: float) -> str:
    """Say how long a run would tell: the interval narrows with the time to the power of 1.5."""
    half, distance = (trend.high - trend.low) * _HOUR / 2, abs(allowed - slope)
    if not distance or not half:
        return ""
    needed = trend.seconds * (half / distance) ** (2 / 3)
    if needed > _WORTH_SAYING_S:
        return ""
    return f"; about {_duration(needed)} might tell"


def _duration(seconds: float) -> str:
    for size, unit in ((_HOUR, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
