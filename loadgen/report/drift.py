"""Slopes of a steady load as people read them: a row for each metric, with its confidence and its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.thresholds import MARKS

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("metric", "at first", "per hour", "95 % confidence", "limit")
"""Headings of the table."""

_WORTH_A_SHARE = 10
"""Gains beyond ten times of what there was are told without it: a share of almost nothing says nothing."""
_UNITS = {"seconds": figures.seconds, "bytes": figures.size}


@dataclass(frozen=True, slots=True)
class DriftLine:
    """One metric, ready to show."""

    mark: str
    """Empty when there is no limit: then the row is for information."""
    verdict: str
    metric: str
    level: str
    """What it was in the first quarter of the judged time."""
    slope: str
    """What it gained in an hour: `+12.3 MB (+4.1 %)`."""
    interval: str
    """Between which values the slope lies."""
    limit: str
    reason: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The values under `COLUMNS`."""
        return self.metric, self.level, self.slope, self.interval, self.limit

    @property
    def sentence(self) -> str:
        """Say it in one line, for the reasons of a verdict."""
        if self.slope == figures.NOTHING:
            return f"drift of {self.metric}: no verdict on {self.limit}: {self.reason}"
        return f"drift of {self.metric}: {self.slope} an hour, between {self.interval}; {self.reason}"


def drift_lines(result: Mapping[str, Any]) -> list[DriftLine]:
    """Give every row of a result's `drift`, those with limits first; empty when there is none."""
    lines = [_line(item) for item in result.get("drift") or []]
    return sorted(lines, key=lambda line: not line.mark)


def judged_time(result: Mapping[str, Any]) -> str:
    """Say over which time the slopes were taken, such as `steady, 3h 36m`; empty when nobody knows."""
    for item in result.get("drift") or []:
        if item.get("seconds"):
            return f"{item.get('stage')}, {figures.seconds(item['seconds'])}"
    return ""


def _line(item: Mapping[str, Any]) -> DriftLine:
    verdict = item.get("verdict")
    unit, level, slope = str(item.get("unit") or ""), item.get("level"), item.get("slope")
    shown = figures.NOTHING if slope is None else _signed(slope, unit)
    if slope is not None and level and abs(slope) <= _WORTH_A_SHARE * abs(level):
        shown += f" ({_sign(slope)}{figures.percent(abs(slope / level) * 100)})"
    low, high = item.get("low"), item.get("high")
    interval = figures.NOTHING
    if low is not None and high is not None:
        interval = f"{_signed(low, unit)} and {_signed(high, unit)}"
    return DriftLine(
        mark=MARKS.get(str(verdict), "!") if verdict else "",
        verdict=str(verdict or ""),
        metric=str(item.get("metric") or ""),
        level=_amount(level, unit),
        slope=shown,
        interval=interval,
        limit=str(item.get("limit") or figures.NOTHING),
        reason=str(item.get("reason") or ""),
    )


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return figures.NOTHING
    return _UNITS[unit](value) if unit in _UNITS else figures.three_digits(value)


def _signed(value: float, unit: str) -> str:
    return f"{_sign(value)}{_amount(abs(value), unit)}"


def _sign(value: float) -> str:
    return "-" if value < 0 else "+"
