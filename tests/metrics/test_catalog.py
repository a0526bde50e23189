from __future__ import annotations

from pathlib import Path

from loadgen.metrics.catalog import (
    CODES,
    COUNTERS,
    HISTOGRAMS,
    METRICS,
    THRESHOLD_METRICS,
    THRESHOLD_SELECTORS,
)
from loadgen.metrics.ledger_result import LedgerResult
from loadgen.metrics.recorder import GroupRecorder
from loadgen.metrics.threshold import _LEDGER


def test_the_recorder_has_an_attribute_for_each_metric_of_a_group_and_no_other() -> None:
    annotated = GroupRecorder.__annotations__
    assert {name for name, kind in annotated.items() if kind == "list[int]"} == set(HISTOGRAMS)
    assert {name for name, kind in annotated.items() if kind == "int"} == set(COUNTERS)
    assert {name for name, kind in annotated.items() if kind == "dict[str, int]"} == set(CODES)


def test_every_metric_is_recorded_somewhere() -> None:
    ledger = {name for name, metric in METRICS.items() if metric.source == "ledger"}
    assert set(METRICS) == {*HISTOGRAMS, *COUNTERS, *ledger, "loop_lag", "clients_never_connected"}
    assert ledger == set(_LEDGER)
    assert all(hasattr(LedgerResult(), field) for field in _LEDGER.values())


def test_thresholds_may_name_every_metric_by_its_kind() -> None:
    assert THRESHOLD_METRICS.keys() == THRESHOLD_SELECTORS.keys() == METRICS.keys()
    assert THRESHOLD_METRICS["publish_latency"] == "duration"
    assert THRESHOLD_METRICS["messages_lost"] == "count"


def test_every_metric_is_in_the_scenarios_reference() -> None:
    text = (Path(__file__).parents[2] / "docs/scenario.md").read_text(encoding="utf-8")
    assert [metric for metric in METRICS.values() if f"| {metric.description} |" not in text] == []


def test_names_cannot_be_mistaken_for_keys() -> None:
    assert not any("|" in name or ":" in name for name in (*METRICS, *CODES))
