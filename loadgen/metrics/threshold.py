"""Hold what was measured against the scenario's thresholds."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from loadgen.metrics.catalog import METRICS, THRESHOLD_SELECTORS, at_node
from loadgen.metrics.summary import NS
from loadgen.metrics.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.metrics.snapshot import Snapshot

Window = tuple[str, str]
"""`during` or `after`, and the name of a fault."""

RUN = ""
"""The key of the whole run (its recorded stages) in `durations`."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}

_LEDGER = {
    "expected_deliveries": "expected",
    "delivered": "delivered",
    "messages_lost": "lost",
    "messages_duplicated": "duplicate",
    "messages_recovered": "recovered",
    "messages_indeterminate": "indeterminate",
    "messages_unexpected": "unexpected",
    "messages_reordered": "reordered",
}

_NEEDS_DELIVERIES = {"messages_lost", "messages_duplicated", "messages_reordered"}


class Spec(Protocol):
    """A parsed threshold, as `scenario.thresholds.ThresholdSpec` has it."""

    @property
    def metric(self) -> str:
        """A name in `catalog.METRICS`."""

    @property
    def selector(self) -> Mapping[str, str]:
        """Keys out of `group`, `node` and one of `stage`, `during` and `after`; empty for all of it."""

    @property
    def expression(self) -> str:
        """As written: `p99 < 250ms`."""

    @property
    def statistic(self) -> str:
        """`p50` … `p99.9`, `mean`, `min`, `max`, `count` or `rate`."""

    @property
    def operator(self) -> str:
        """`<`, `<=`, `>`, `>=` or `==`."""

    @property
    def value(self) -> float:
        """Seconds for durations, a number for counts, events per second for rates."""

    @property
    def level(self) -> str:
        """`fail`, or `warn`: that it is broken is reported, and fails nothing."""


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """What one threshold came to."""

    metric: str
    """With its selector, as in the scenario: `publish_latency{group: sensors}`."""
    expression: str
    statistic: str
    value: float | None
    """What was measured: seconds, a number, or a number per second; None when nothing was."""
    verdict: Verdict
    reason: str
    """One line for people; empty when the threshold holds."""
    level: str = "fail"
    """`fail`, or `warn`: whatever its verdict, it does not count for the run's."""

    def to_dict(self) -> dict[str, Any]:
        """Give the object for `result.json`; what does not hold at level `warn` has that for a verdict."""
        warns = self.level == "warn" and self.verdict is not Verdict.PASS
        return {**asdict(self), "verdict": "warn" if warns else self.verdict.value}


class _NotMeasuredError(Exception):
    """Nothing was measured that the threshold could be held against."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    totals: Snapshot
    ledger: LedgerResult | None
    durations: Mapping[str, float]
    stages: Mapping[str, Snapshot]
    windows: Mapping[Window, Snapshot]
    window_seconds: Mapping[Window, float]
    window_ledgers: Mapping[str, LedgerResult]
    run_counts: Mapping[str, int]


def evaluate(
    specs: Iterable[Spec],
    totals: Snapshot,
    ledger: LedgerResult | None,
    durations: Mapping[str, float],
    stages: Mapping[str, Snapshot] | None = None,
    *,
    windows: Mapping[Window, Snapshot] | None = None,
    window_seconds: Mapping[Window, float] | None = None,
    window_ledgers: Mapping[str, LedgerResult] | None = None,
    run_counts: Mapping[str, int] | None = None,
) -> list[ThresholdResult]:
    """Hold every threshold against the measurements, in the order given.

    Args:
        specs: Parsed thresholds.
        totals: Sum of all recorded intervals.
        ledger: What became of the messages; None when there is no ledger (a worker lost, nobody subscribed).
        durations: Seconds by stage name, and under `RUN` the seconds `totals` covers; rates need them.
        stages: Sum of the intervals of each stage, for thresholds that name one.
        windows: Sum of the intervals during and after each fault that happened, by the name of its plan; for
            a fault that is repeated also by its own name: the intervals of any of its repetitions.
        window_seconds: How long those intervals are together; rates need them.
        window_ledgers: What became of the messages sent during each fault, by the same names.
        run_counts: Counts that are known at the end only, by metric; none of them is measured when left out.

    Returns:
        One result a threshold; no samples, an unknown metric or an unsettled ledger make it invalid, never a
        quiet pass.
    """
    evidence = _Evidence(
        totals,
        ledger,
        durations,
        stages or {},
        windows or {},
        window_seconds or {},
        window_ledgers or {},
        run_counts or {},
    )
    return [_evaluate(spec, evidence) for spec in specs]


def _evaluate(spec: Spec, evidence: _Evidence) -> ThresholdResult:
    selected = ", ".join(f"{key}: {value}" for key, value in spec.selector.items())
    name = f"{spec.metric}{{{selected}}}" if selected else spec.metric
    value: float | None
    try:
        value = _measure(spec, evidence)
    except _NotMeasuredError as nothing:
        value, verdict, reason = None, Verdict.INVALID, f"{name}: {nothing}"
    else:
        holds = _OPERATORS[spec.operator](value, spec.value)
        verdict = Verdict.PASS if holds else Verdict.FAIL
        reason = "" if holds else f"{name}: {spec.expression} does not hold, it was {_show(spec, value)}"
        doubt = _doubt(_ledger(spec, evidence)) if METRICS[spec.metric].source == "ledger" else ""
        if holds and doubt:
            verdict, reason = Verdict.INVALID, f"{name}: {doubt}"
    return ThresholdResult(name, spec.expression, spec.statistic, value, verdict, reason, spec.level)


def _measure(spec: Spec, evidence: _Evidence) -> float:
    metric = METRICS.get(spec.metric)
    if metric is None:
        raise _NotMeasuredError("no such metric")
    unknown = [name for name in spec.selector if name not in THRESHOLD_SELECTORS[metric.name]]
    if unknown:
        raise _NotMeasuredError(f"cannot be selected by {', '.join(unknown)}")
    if metric.source == "ledger":
        return _statistic_of_count(spec, _from_ledger(spec, _ledger(spec, evidence)), evidence)
    if metric.source == "run":
        if metric.name not in evidence.run_counts:
            raise _NotMeasuredError("the run ended before that could be told")
        return _statistic_of_count(spec, evidence.run_counts[metric.name], evidence)
    snapshot, group = _intervals(spec, evidence), spec.selector.get("group")
    if metric.kind == "counter":
        return _statistic_of_count(spec, snapshot.count(metric_name(spec), group), evidence)
    return _statistic_of_histogram(spec, snapshot, group, evidence)


def metric_name(spec: Spec) -> str:
    """The metric's name in snapshots: of all nodes, or of the one that is selected."""
    node = spec.selector.get("node")
    return spec.metric if node is None else at_node(spec.metric, node)


def _window(spec: Spec) -> Window | None:
    """The fault's window that a threshold is about."""
    return next(((word, spec.selector[word]) for word in ("during", "after") if word in spec.selector), None)


def _intervals(spec: Spec, evidence: _Evidence) -> Snapshot:
    """The sum of the intervals that a threshold is about."""
    window, stage = _window(spec), spec.selector.get("stage")
    if window is not None:
        if not evidence.window_seconds.get(window) or window not in evidence.windows:
            raise _NotMeasuredError(_nothing_in(window))
        return evidence.windows[window]
    if stage is None:
        return evidence.totals
    if stage not in evidence.stages:
        raise _NotMeasuredError("the stage was never reached")
    return evidence.stages[stage]


def _nothing_in(window: Window) -> str:
    word, _ = window
    if word == "during":
        return "the fault never happened"
    return "nothing was measured after the fault: leave a second or more between its end and the run's"


def _statistic_of_histogram(spec: Spec, snapshot: Snapshot, group: str | None, evidence: _Evidence) -> float:
    histogram = snapshot.select(metric_name(spec), group)
    if spec.statistic in {"count", "rate"}:
        return _statistic_of_count(spec, histogram.count, evidence)
    if not histogram.count:
        raise _NotMeasuredError(f"no samples ({histogram.out_of_range} out of range)")
    if spec.statistic in {"mean", "min", "max"}:
        plain: float = getattr(histogram, spec.statistic)
        return plain * NS
    return histogram.percentile(float(spec.statistic.removeprefix("p"))) * NS


def _statistic_of_count(spec: Spec, count: int, evidence: _Evidence) -> float:
    if spec.statistic == "count":
        return count
    if spec.statistic != "rate":
        raise _NotMeasuredError(f"is a counter and has no {spec.statistic}")
    window = _window(spec)
    if window is None:
        seconds = evidence.durations.get(spec.selector.get("stage", RUN), 0.0)
    else:
        seconds = evidence.window_seconds.get(window, 0.0)
    if seconds <= 0:
        raise _NotMeasuredError("covers no time, so there is no rate")
    return count / seconds


def _ledger(spec: Spec, evidence: _Evidence) -> LedgerResult | None:
    """The ledger that a threshold is about: that of a fault's window, or the whole run's."""
    fault = spec.selector.get("during")
    return evidence.ledger if fault is None else evidence.window_ledgers.get(fault)


def _from_ledger(spec: Spec, ledger: LedgerResult | None) -> int:
    if ledger is None:
        fault = spec.selector.get("during")
        raise _NotMeasuredError(f"there is no ledger{'' if fault is None else ' of this fault'}")
    if spec.metric in _NEEDS_DELIVERIES and not ledger.expected:
        raise _NotMeasuredError("no delivery was expected")
    count: int = getattr(ledger, _LEDGER[spec.metric])
    return count


def _doubt(ledger: LedgerResult | None) -> str:
    """Say why figures of the ledger that look good prove nothing; empty when they do."""
    if ledger is not None and ledger.unaccounted:
        return f"{ledger.unaccounted} pairs of publisher and subscriber went unaccounted, a worker was lost"
    if ledger is not None and ledger.unsettled:
        return f"{ledger.unsettled} acknowledged messages were still under way when the run ended"
    return ""


def _show(spec: Spec, value: float) -> str:
    if spec.statistic == "count":
        return f"{value:,.0f}"
    if spec.statistic == "rate":
        return f"{value:,.1f}/s"
    return f"{value * 1000:,.3f}ms" if value < 1 else f"{value:,.3f}s"
