"""Thresholds: `p99 < 250ms` on a metric, or on a part of it: `publish_latency{group: a, during: kill}`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from loadgen.errors import ConfigError, Problem
from loadgen.scenario.suggest import did_you_mean
from loadgen.scenario.threshold_rules import ThresholdRule
from loadgen.scenario.units import NS_PER_S, parse_duration, parse_rate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

STATISTICS = ("p50", "p90", "p95", "p99", "p99.9", "mean", "min", "max", "count", "rate")
OPERATORS = ("<", "<=", ">", ">=", "==")
SELECTORS = ("group", "node", "stage", "during", "after")
_TIMES = ("stage", "during", "after")

_EXPRESSION = re.compile(r"([A-Za-z][\w.]*)\s*(<=|>=|==|<|>)\s*(\S.*)")
_KEY = re.compile(r"([A-Za-z][\w]*)\s*(?:\{([^{}]*)\})?")
_COUNT = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_EXAMPLE = "write for example p99 < 250ms, or count == 0"


@dataclass(frozen=True, slots=True)
class ThresholdSpec:
    """One threshold in parts."""

    metric: str
    selector: dict[str, str] = field(hash=False)
    """What part of the metric: keys out of `SELECTORS`; empty for all of it."""
    expression: str
    """As written in the file: `p99 < 250ms`."""
    statistic: str
    """One of `STATISTICS`."""
    operator: str
    """One of `OPERATORS`."""
    value: float
    """Seconds for durations, a number for `count`, events per second for rates."""
    level: str = "fail"
    """`fail`, or `warn`: that it is broken is reported, and fails nothing."""
    abort_after: float | None = None
    """How many seconds at a stretch it may be broken before the run is ended early; None: to the end."""


class _RefusedError(Exception):
    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def split_key(key: str) -> tuple[str, dict[str, str]]:
    """Split `metric{group: a, stage: b}` into the metric and its selector.

    Raises:
        ConfigError: malformed, an unknown selector, or selectors that exclude each other.
    """
    try:
        return _split_key(key)
    except _RefusedError as refused:
        raise ConfigError(refused.what, refused.mend) from None


def _split_key(key: str) -> tuple[str, dict[str, str]]:
    match = _KEY.fullmatch(key.strip())
    if match is None:
        raise _RefusedError(f'"{key}" is not a metric', 'write metric or "metric{group: NAME, stage: NAME}"')
    selector: dict[str, str] = {}
    for part in match[2].split(",") if match[2] is not None else ():
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if not colon or not name or not value:
            raise _RefusedError(f'"{part.strip()}" selects nothing', f"write {match[1]}{{group: NAME}}")
        if name not in SELECTORS:
            raise _RefusedError(f'thresholds cannot select by "{name}"', did_you_mean(name, SELECTORS))
        if name in selector:
            raise _RefusedError(f'"{key}" selects by {name} twice', "write two thresholds")
        selector[name] = value
    times = [name for name in _TIMES if name in selector]
    if len(times) > 1:
        raise _RefusedError(f'"{key}" selects by {" and ".join(times)}', "write a threshold for each")
    return match[1], selector


def split_known_key(key: str) -> dict[str, str]:
    """Give the selector of a key, or nothing when the key is malformed (which is told elsewhere)."""
    try:
        return _split_key(key)[1]
    except _RefusedError:
        return {}


def parse_expression(expression: str) -> tuple[str, str, float, str]:
    """Split an expression into statistic, operator, value and the value's kind.

    Returns:
        The kind is `duration` (value in seconds), `count` or `rate` (value per second).

    Raises:
        ConfigError: an unknown statistic or operator, or a value without the unit it needs.
    """
    try:
        return _parse_expression(expression)
    except _RefusedError as refused:
        raise ConfigError(refused.what, refused.mend) from None


def _parse_expression(expression: str) -> tuple[str, str, float, str]:
    match = _EXPRESSION.fullmatch(expression.strip())
    if match is None:
        raise _RefusedError(f'"{expression}" is not a threshold', _EXAMPLE)
    statistic, operator, text = match[1], match[2], match[3].strip()
    if statistic not in STATISTICS:
        raise _RefusedError(f'"{statistic}" is not a statistic', did_you_mean(statistic, STATISTICS))
    if statistic == "count":
        if not _COUNT.fullmatch(text):
            raise _RefusedError(f'count is a plain number, not "{text}"', "write for example count == 0")
        return statistic, operator, float(text), "count"
    if statistic == "rate" or "/" in text:
        return statistic, operator, _rate(text), "rate"
    try:
        return statistic, operator, parse_duration(text) / NS_PER_S, "duration"
    except PydanticCustomError as error:
        raise _refused(error) from None


def _rate(text: str) -> float:
    if re.fullmatch(r"0(?:\.0+)?\s*/\s*[smhd]", text):
        return 0.0
    try:
        return parse_rate(text)
    except PydanticCustomError as error:
        raise _refused(error) from None


def _refused(error: PydanticCustomError) -> _RefusedError:
    context = error.context or {}
    return _RefusedError(str(context.get("what", error.message())), str(context.get("mend", "")))


def parse_thresholds(thresholds: Mapping[str, Sequence[str | ThresholdRule]]) -> tuple[ThresholdSpec, ...]:
    """Parse all thresholds of a scenario.

    Args:
        thresholds: by key; each one an expression, or a rule with one.

    Raises:
        ConfigError: all that is malformed.
    """
    problems = [
        Problem(f"thresholds.{key}", what, mend) for key, _, what, mend in threshold_problems(thresholds)
    ]
    if problems:
        raise ConfigError(problems)
    specs = []
    for key, rules in thresholds.items():
        metric, selector = split_key(key)
        for rule in map(_rule, rules):
            text = rule.threshold.strip()
            statistic, operator, value, _ = parse_expression(text)
            specs.append(
                ThresholdSpec(
                    metric, selector, text, statistic, operator, value, rule.level, rule.abort_after
                )
            )
    return tuple(specs)


def _rule(written: str | ThresholdRule) -> ThresholdRule:
    return ThresholdRule(threshold=written) if isinstance(written, str) else written


def threshold_problems(
    thresholds: Mapping[str, Sequence[str | ThresholdRule]],
    metrics: Mapping[str, str] | None = None,
    selectors: Mapping[str, Collection[str]] | None = None,
) -> Iterator[tuple[str, int | None, str, str]]:
    """Find what is wrong in the thresholds.

    Args:
        thresholds: expressions, or rules with one, by key, as in the file.
        metrics: known metrics and their kinds (`duration`, `count`, `rate`); without it only the grammar
            is checked.
        selectors: what each of those metrics can be selected by; anything when left out.

    Yields:
        Key, index of the expression (None for the key itself), what is wrong, and the mend.
    """
    for key, rules in thresholds.items():
        metric: str | None = None
        selector: Mapping[str, str] = {}
        try:
            metric, selector = _split_key(key)
            if metrics is not None and metric not in metrics:
                raise _RefusedError(f'unknown metric "{metric}"', did_you_mean(metric, metrics))  # noqa: TRY301
            _check_selector(metric, selector, (selectors or {}).get(metric, SELECTORS))
        except _RefusedError as refused:
            yield key, None, refused.what, refused.mend
        if not rules:
            yield key, None, "has no expression", _EXAMPLE
        for index, rule in enumerate(map(_rule, rules)):
            try:
                statistic, operator, value, kind = _parse_expression(rule.threshold)
                if metrics is not None and metric is not None and metric in metrics:
                    _check_kind(metric, metrics[metric], statistic, kind)
                if rule.abort_on_fail is not None:
                    known = (selectors or {}).get(metric or "", SELECTORS)
                    _check_abort(rule, (selector, known), (statistic, operator, value))
            except _RefusedError as refused:
                yield key, index, refused.what, refused.mend


def _check_selector(metric: str, selector: Mapping[str, str], known: Collection[str]) -> None:
    for name in selector:
        if name not in known:
            mend = " or ".join(each for each in SELECTORS if each in known)
            raise _RefusedError(
                f"{metric} cannot be selected by {name}", f"write {metric} alone, or by {mend}"
            )


def _check_kind(metric: str, metric_kind: str, statistic: str, kind: str) -> None:
    if statistic in {"count", "rate"}:
        return
    if metric_kind == "count":
        raise _RefusedError(
            f"{metric} is a counter and has no {statistic}", "write count or rate, for example count == 0"
        )
    if kind != metric_kind:
        example = "250ms" if metric_kind == "duration" else "100/s"
        raise _RefusedError(f"{metric} is a {metric_kind}, not a {kind}", f"write for example {example}")


def _check_abort(
    rule: ThresholdRule,
    selected: tuple[Mapping[str, str], Collection[str]],
    expression: tuple[str, str, float],
) -> None:
    """Refuse to end a run early by what is not known, or cannot be broken, before its end."""
    selector, known = selected
    statistic, operator, value = expression
    if rule.level == "warn":
        raise _RefusedError("a threshold of level warn ends no run", "remove level, or abort_on_fail")
    late = [name for name in ("during", "after") if name in selector]
    if late or "stage" not in known:
        what = f"what holds {late[0]} a fault" if late else "what became of each message"
        raise _RefusedError(f"{what} is known at the end only", "remove abort_on_fail")
    if statistic == "count" and (operator in {">", ">="} or (operator == "==" and value)):
        raise _RefusedError(
            f"a count grows, so count {operator} {value:g} cannot be judged before the end",
            "remove abort_on_fail, or write a rate",
        )
