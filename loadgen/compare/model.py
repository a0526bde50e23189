"""What a comparison says: plain values that the reports format."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from loadgen.errors import ExitCode

SCHEMA_VERSION = 1


class Finding(enum.StrEnum):
    """What one row came to."""

    REGRESSION = "regression"
    """The whole interval is worse than the limit."""
    IMPROVEMENT = "improvement"
    """The whole interval is better than the limit."""
    SAME = "same"
    """The whole interval is within the tolerance on both sides."""
    UNCLEAR = "unclear"
    """The interval reaches across the tolerance or the limit: it cannot be said."""
    SHOWN = "shown"
    """Not judged; `reason` says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both sides."""

    metric: str
    """`publish_latency`, `acknowledged` …"""
    group: str
    """Empty for all groups together."""
    statistic: str
    """`p99`, `rate`, `count`, `seconds` …"""
    unit: str
    """`s`, `/s`, or empty for a count."""
    base: float | None
    run: float | None
    finding: Finding
    change: float | None = None
    """`run / base - 1`; 0.2 is 20 % more."""
    low: float | None = None
    """Of the confidence interval of `change`."""
    high: float | None = None
    limit: float | None = None
    """The change that must be passed to be called, as a portion of `base`: the tolerance, or more where the
    generator itself was late."""
    reason: str = ""
    """What keeps it from being judged, or how it was."""
    worse: int = 1
    """1 when more is worse, -1 when less is."""

    @property
    def name(self) -> str:
        """`publish_latency p99`, with its group as thresholds write it."""
        selected = f"{{group: {self.group}}}" if self.group else ""
        return f"{self.metric}{selected} {self.statistic}"

    def to_dict(self) -> dict[str, Any]:
        """Give the object for JSON."""
        return {
            "metric": self.metric,
            "group": self.group or None,
            "statistic": self.statistic,
            "unit": self.unit,
            "base": self.base,
            "run": self.run,
            "change": self.change,
            "low": self.low,
            "high": self.high,
            "limit": self.limit,
            "finding": self.finding.value,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a side, for the head of a report."""

    path: str
    run_id: str
    verdict: str
    started_at: str
    duration: float
    broker: str
    loadgen: str

    def to_dict(self) -> dict[str, Any]:
        """Give the object for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, and every figure of them."""

    scenario: str
    base: tuple[RunLine, ...]
    runs: tuple[RunLine, ...]
    tolerance: float
    """As a portion: 0.1 is 10 %."""
    confidence: float
    """That not one of all intervals misses its value, as a portion."""
    judged: int
    """How many intervals share that confidence."""
    seed: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What the reader must know: what differs between the sides, and what could not be told."""
    spectra: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Metric → the histograms of both sides, for charts."""
    series: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Metric → percentiles over time of both sides, for charts."""

    def found(self, finding: Finding) -> tuple[Row, ...]:
        """The rows of one finding."""
        return tuple(row for row in self.rows if row.finding is finding)

    @property
    def regressions(self) -> tuple[Row, ...]:
        """What is worse beyond the tolerance."""
        return self.found(Finding.REGRESSION)

    @property
    def exit_code(self) -> ExitCode:
        """What the process ends with."""
        return ExitCode.THRESHOLDS_FAILED if self.regressions else ExitCode.PASS

    def to_dict(self) -> dict[str, Any]:
        """Give the object for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario,
            "verdict": "regression" if self.regressions else "pass",
            "exit_code": int(self.exit_code),
            "base": [each.to_dict() for each in self.base],
            "run": [each.to_dict() for each in self.runs],
            "tolerance": self.tolerance,
            "confidence": self.confidence,
            "judged": self.judged,
            "seed": self.seed,
            "rows": [each.to_dict() for each in self.rows],
            "notes": list(self.notes),
        }
