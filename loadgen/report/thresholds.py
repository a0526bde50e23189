"""Threshold results as people read them: the mark, the words and the value in its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.report import figures

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKS = {"pass": "✓", "fail": "✗", "invalid": "!", "warn": "~"}
"""The marks k6 users know, `!` for what could not be measured, `~` for what is broken and only a warning."""


@dataclass(frozen=True, slots=True)
class ThresholdLine:
    """One threshold, ready to show."""

    mark: str
    verdict: str
    metric: str
    expression: str
    value: str
    reason: str
    default: bool
    """True when loadgen added it and the scenario did not ask."""


def threshold_lines(result: Mapping[str, Any]) -> list[ThresholdLine]:
    """Give every threshold of a result, ready to show, in the scenario's order."""
    return [_line(item) for item in result.get("thresholds") or []]


def _line(item: Mapping[str, Any]) -> ThresholdLine:
    verdict = str(item.get("verdict", "invalid"))
    metric, expression = str(item.get("metric") or ""), str(item.get("expression") or "")
    # Some writers put `metric: expression` into the expression: the metric should not stand there twice.
    if metric and expression.startswith(metric):
        head, colon, tail = expression.partition(": ")
        metric, expression = (head, tail) if colon else (metric, expression[len(metric) :].lstrip(": "))
    return ThresholdLine(
        mark=MARKS.get(verdict, "!"),
        verdict=verdict,
        metric=metric,
        expression=expression,
        value=_value(item.get("value"), str(item.get("statistic") or expression.split(" ")[0])),
        reason=str(item.get("reason") or ""),
        default=bool(item.get("default")),
    )


def _value(value: float | None, statistic: str) -> str:
    """Show a value in its statistic's unit: a count, a rate per second, else seconds."""
    if statistic == "count":
        return figures.count(value)
    return figures.rate(value) if statistic == "rate" else figures.seconds(value)
