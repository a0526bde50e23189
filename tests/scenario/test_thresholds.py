from __future__ import annotations

from itertools import product

import pytest

from loadgen.errors import ConfigError
from loadgen.scenario.threshold_rules import ThresholdRule
from loadgen.scenario.thresholds import (
    SELECTORS,
    ThresholdSpec,
    parse_expression,
    parse_thresholds,
    split_key,
    threshold_problems,
)


def test_parts() -> None:
    (spec,) = parse_thresholds({"publish_latency{group: a, stage: b}": ["p99.9 <= 1.5s"]})
    assert spec == ThresholdSpec(
        "publish_latency", {"group": "a", "stage": "b"}, "p99.9 <= 1.5s", "p99.9", "<=", 1.5
    )


def test_every_statistic_with_every_operator() -> None:
    statistics = ("p50", "p90", "p95", "p99", "p99.9", "mean", "min", "max")
    for statistic, operator in product(statistics, ("<", "<=", ">", ">=", "==")):
        assert parse_expression(f"{statistic}{operator}5ms") == (statistic, operator, 0.005, "duration")
    assert parse_expression("count == 0") == ("count", "==", 0.0, "count")
    assert parse_expression("rate > 30/m") == ("rate", ">", 0.5, "rate")
    assert parse_expression("rate == 0/s") == ("rate", "==", 0.0, "rate")
    assert parse_expression("mean > 10/s") == ("mean", ">", 10.0, "rate")


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("p98 < 1s", "is not a statistic"),
        ("p99 < 250", "needs a unit"),
        ("p99 < fast", "is not a duration"),
        ("p99 = 1s", "is not a threshold"),
        ("p99 != 1s", "is not a threshold"),
        ("p99", "is not a threshold"),
        ("< 1s", "is not a threshold"),
        ("", "is not a threshold"),
        ("count < 1s", "plain number"),
        ("rate < 5", "needs a unit"),
        ("p99 < 1s and p50 < 1s", "is not a duration"),
    ],
)
def test_refused_expressions(expression: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        parse_expression(expression)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("a{while: kill}", "cannot select by"),
        ("a{nodes: b}", 'did you mean "node"'),
        ("a{stage: x, after: y}", "selects by stage and after"),
        ("a{group}", "selects nothing"),
        ("a{group: }", "selects nothing"),
        ("a{}", "selects nothing"),
        ("a{group: x, group: y}", "twice"),
        ("a{group: x", "is not a metric"),
        ("a b", "is not a metric"),
        ("", "is not a metric"),
    ],
)
def test_refused_keys(key: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        split_key(key)


def test_what_a_metric_cannot_be_selected_by() -> None:
    thresholds = {"lost{group: a}": ["count == 0"], "lost{during: kill}": ["count == 0"]}
    (problem,) = threshold_problems(thresholds, {"lost": "count"}, {"lost": ("during",)})
    assert problem == (
        "lost{group: a}",
        None,
        "lost cannot be selected by group",
        "write lost alone, or by during",
    )
    assert list(threshold_problems(thresholds, {"lost": "count"})) == []


def test_all_malformed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_thresholds({"a": ["p1 < 1s", "p2 < 1s"], "b": []})
    assert [problem.where for problem in caught.value.problems] == [
        "thresholds.a",
        "thresholds.a",
        "thresholds.b",
    ]


@pytest.mark.parametrize(
    ("key", "rule", "what"),
    [
        ("a", {"threshold": "p99 < 1s", "abort_on_fail": "5s", "level": "warn"}, "of level warn ends no run"),
        ("a{during: f}", {"threshold": "p99 < 1s", "abort_on_fail": "5s"}, "during a fault is known at the"),
        ("a", {"threshold": "count > 5", "abort_on_fail": "5s"}, "a count grows"),
        ("a", {"threshold": "count == 5", "abort_on_fail": "5s"}, "a count grows"),
        ("lost", {"threshold": "count == 0", "abort_on_fail": "5s"}, "each message is known at the end"),
    ],
)
def test_what_cannot_end_a_run(key: str, rule: dict[str, str], what: str) -> None:
    selectors = {"a": SELECTORS, "lost": ("during",)}
    (problem,) = threshold_problems({key: [ThresholdRule.model_validate(rule)]}, None, selectors)
    assert what in problem[2]
    assert "abort_on_fail" in problem[3]


def test_what_can_end_a_run() -> None:
    rules = [
        ThresholdRule.model_validate({"threshold": text, "abort_on_fail": "10s"})
        for text in ("count == 0", "count < 5", "p99 < 1s", "rate > 5/s")
    ]
    assert list(threshold_problems({"a": rules, "a{stage: s}": rules})) == []
    specs = parse_thresholds({"a": rules})
    assert {(spec.level, spec.abort_after) for spec in specs} == {("fail", 10.0)}


def test_a_rule_is_written_as_it_was_read() -> None:
    short: object = ThresholdRule(threshold="p99 < 1s").model_dump(mode="json")
    assert short == "p99 < 1s"
    long = {"threshold": "p99 < 1s", "level": "fail", "abort_on_fail": "10s"}
    assert ThresholdRule.model_validate(long).model_dump(mode="json", exclude_none=True) == long
