"""What is called, what is not, and what is refused, of runs whose latencies are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.compare.compare import Options, compare
from loadgen.compare.model import Comparison, Finding, Row
from loadgen.errors import ConfigError
from loadgen.store import open_run
from tests.compare.runs import SCENARIO, Known

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def compared(folder: Path, base: list[Known], runs: list[Known], **options: Any) -> Comparison:  # noqa: ANN401 - those of Options
    before, after = (
        [open_run(each.write(folder / f"{name}{number}")) for number, each in enumerate(side)]
        for name, side in (("base", base), ("run", runs))
    )
    return compare(before, after, Options(**options))


def row(comparison: Comparison, name: str) -> Row:
    (found,) = [each for each in comparison.rows if each.name == name]
    return found


def test_a_slower_broker_is_called_and_a_faster_one_is_told(folder: Path) -> None:
    slower = compared(folder / "1", [Known()], [Known(seed=2, latency_ms=24.0)])
    p50 = row(slower, "publish_latency p50")
    assert p50.finding is Finding.REGRESSION
    assert p50.change == pytest.approx(0.2, abs=0.05)
    assert p50.low is not None
    assert p50.high is not None
    assert p50.low < 0.2 < p50.high
    assert (slower.exit_code, slower.to_dict()["verdict"]) == (99, "regression")
    faster = compared(folder / "2", [Known(latency_ms=24.0)], [Known(seed=2)])
    assert row(faster, "publish_latency p50").finding is Finding.IMPROVEMENT
    assert faster.exit_code == 0


def test_equal_runs_are_unchanged(folder: Path) -> None:
    found = compared(folder, [Known()], [Known(seed=2)])
    assert row(found, "publish_latency p50").finding is Finding.SAME
    assert row(found, "acknowledged rate").finding is Finding.SAME
    assert row(found, "messages_lost count").finding is Finding.SAME
    assert not found.regressions


def test_the_same_seed_gives_the_same_figures(folder: Path) -> None:
    one = compared(folder / "1", [Known()], [Known(seed=2)])
    assert compared(folder / "2", [Known()], [Known(seed=2)]).rows == one.rows
    other = compared(folder / "3", [Known()], [Known(seed=2)], seed=2)
    assert row(other, "publish_latency p50").low != row(one, "publish_latency p50").low


def test_a_change_within_the_tolerance_is_no_regression(folder: Path) -> None:
    sides = [Known(drift=0.001)], [Known(seed=2, drift=0.001, latency_ms=21.4)]
    assert row(compared(folder / "1", *sides), "publish_latency p50").finding is Finding.SAME
    strict = compared(folder / "2", *sides, tolerance=0.03)
    assert row(strict, "publish_latency p50").finding is Finding.REGRESSION


def test_noise_that_hides_a_change_is_said_to(folder: Path) -> None:
    noisy = compared(folder, [Known(drift=0.3)], [Known(seed=2, drift=0.3, latency_ms=24.0)])
    assert row(noisy, "publish_latency p50").finding is Finding.UNCLEAR


def test_a_difference_below_the_generators_own_lateness_is_not_called(folder: Path) -> None:
    sides = [Known(lag_ms=5.0)], [Known(seed=2, lag_ms=5.0, latency_ms=24.0)]
    late = compared(folder / "1", *sides)
    p50 = row(late, "publish_latency p50")
    assert (p50.finding, p50.reason) == (Finding.UNCLEAR, "too close to loadgen's own lateness")
    assert p50.limit == pytest.approx(0.25, abs=0.02)
    # Lateness of 5 ms hides no difference of 20 ms.
    far = compared(folder / "2", [Known(lag_ms=5.0)], [Known(seed=2, lag_ms=5.0, latency_ms=40.0)])
    assert row(far, "publish_latency p50").finding is Finding.REGRESSION


def test_more_figures_make_wider_intervals(folder: Path) -> None:
    sure = compared(folder / "1", [Known()], [Known(seed=2)], confidence=0.99)
    less = compared(folder / "2", [Known()], [Known(seed=2)], confidence=0.8)
    wide, narrow = (row(each, "publish_latency p90") for each in (sure, less))
    assert wide.high is not None
    assert narrow.high is not None
    assert wide.high > narrow.high


def test_one_slow_group_is_named(folder: Path) -> None:
    found = compared(folder, [Known()], [Known(seed=2, slow_group="b", slower=1.5)])
    assert row(found, "publish_latency{group: b} p50").finding is Finding.REGRESSION
    assert row(found, "publish_latency{group: a} p50").finding is Finding.SAME


def test_a_rate_that_is_not_achieved_is_called_and_one_that_stopped_too(folder: Path) -> None:
    fewer = compared(folder / "1", [Known()], [Known(seed=2, rate=160)])
    assert row(fewer, "acknowledged rate").finding is Finding.REGRESSION
    more = compared(folder / "2", [Known()], [Known(seed=2, rate=240)])
    assert row(more, "acknowledged rate").finding is Finding.IMPROVEMENT
    stopped = Known(seed=2, counters={second: {"acknowledged": -100} for second in range(30)})
    # Group b still acknowledges; without both there is nothing left.
    assert row(compared(folder / "3", [Known()], [stopped]), "acknowledged rate").run == pytest.approx(100)


def test_one_lost_message_is_called_whatever_chance_says(folder: Path) -> None:
    found = compared(folder / "1", [Known()], [Known(seed=2, result={"ledger": {"lost": 1}})])
    assert row(found, "messages_lost count").finding is Finding.REGRESSION
    both = {"ledger": {"lost": 1, "duplicate": 3}}
    same = compared(folder / "2", [Known(result=both)], [Known(seed=2, result=both)])
    assert row(same, "messages_lost count").finding is Finding.SAME
    assert row(same, "messages_duplicate count").finding is Finding.SHOWN


def test_errors_all_through_a_run_are_called_and_one_burst_is_told(folder: Path) -> None:
    steady = Known(seed=2, counters={second: {"publish_errors": 5 + second % 3} for second in range(30)})
    found = row(compared(folder / "1", [Known()], [steady]), "publish_errors count")
    assert found.finding is Finding.REGRESSION
    assert found.run == 180
    burst = Known(seed=2, counters={20: {"disconnects": 500}})
    once = row(compared(folder / "2", [Known()], [burst]), "disconnects count")
    assert once.finding is not Finding.REGRESSION
    assert once.run == 500


def test_repetitions_show_what_one_run_cannot(folder: Path) -> None:
    """Runs that vary by 10 % from one to the next, and by next to nothing inside."""
    levels = (19.0, 21.0, 20.0), (23.0, 21.0, 22.0)
    sides = [
        [Known(seed=number, drift=0.001, latency_ms=level) for number, level in enumerate(side)]
        for side in levels
    ]
    pair = compared(folder / "1", [sides[0][0]], [sides[1][0]])
    assert row(pair, "publish_latency p50").finding is Finding.REGRESSION
    assert any("takes four of them" in note for note in pair.notes)
    all_of_them = compared(folder / "2", sides[0], sides[1])
    p50 = row(all_of_them, "publish_latency p50")
    assert p50.finding is Finding.UNCLEAR
    assert p50.change == pytest.approx(0.10, abs=0.01)
    assert not any("takes four of them" in note for note in all_of_them.notes)


def test_outages_are_judged_by_repetitions_only(folder: Path) -> None:
    def with_outage(seed: int, seconds: float) -> Known:
        fault = {"name": "kill#1", "kind": "kill", "outage": {"seconds": seconds}, "recovery": seconds + 1}
        return Known(seed=seed, result={"faults": [fault]})

    one = compared(folder / "1", [with_outage(1, 2.0)], [with_outage(2, 9.0)])
    shown = row(one, "kill: fleet_outage seconds")
    assert (shown.finding, shown.base, shown.run) == (Finding.SHOWN, 2.0, 9.0)
    assert "three runs or more" in shown.reason
    many = compared(
        folder / "2",
        [with_outage(seed, 2.0 + seed / 20) for seed in range(4)],
        [with_outage(seed, 9.0 + seed / 10) for seed in range(4, 8)],
    )
    assert row(many, "kill: fleet_outage seconds").finding is Finding.REGRESSION


def test_what_a_message_costs_the_broker_is_shown_and_judged_by_repetitions(folder: Path) -> None:
    one = compared(folder / "1", [Known(broker_cpu_ms=0.1)], [Known(seed=2, broker_cpu_ms=0.2)])
    cost = row(one, "broker_cpu a message")
    assert cost.finding is Finding.SHOWN
    assert cost.base == pytest.approx(0.1e-3, rel=0.01)
    assert cost.run == pytest.approx(0.2e-3, rel=0.01)
    assert row(one, "broker_memory max").base == pytest.approx(1e8, rel=0.01)
    many = compared(
        folder / "2",
        [Known(seed=seed, broker_cpu_ms=0.1 + seed / 1000) for seed in range(3)],
        [Known(seed=seed, broker_cpu_ms=0.2 + seed / 1000) for seed in range(3)],
    )
    assert row(many, "broker_cpu a message").finding is Finding.REGRESSION
    assert not [each for each in compared(folder / "3", [Known()], [Known()]).rows if "broker" in each.name]


def test_too_short_a_run_is_not_judged(folder: Path) -> None:
    found = compared(folder, [Known(seconds=4)], [Known(seed=2, seconds=4, latency_ms=40.0)])
    assert row(found, "publish_latency p50").reason == "too few seconds to tell"
    assert not found.regressions


def test_what_was_measured_on_one_side_only_is_shown(folder: Path) -> None:
    found = compared(folder, [Known(rate=0)], [Known(seed=2)])
    assert row(found, "publish_latency p50").reason == "not in every run"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"verdict": "invalid", "reasons": ["the generator was the bottleneck"]}, "INVALID: the generator"),
        ({"interrupted": True}, "ended early"),
        ({"aborted": "p99 < 1s"}, "ended early"),
    ],
)
def test_runs_that_prove_nothing_are_refused(folder: Path, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        compared(folder / "1", [Known()], [Known(seed=2, result=changes)])
    assert "--allow-invalid" in str(caught.value)
    compared(folder / "2", [Known()], [Known(seed=2, result=changes)], allow_invalid=True)


def test_other_scenarios_are_refused_by_name_of_what_differs(folder: Path) -> None:
    other = SCENARIO | {"groups": {"a": {"clients": 6}, "b": {"clients": 5}}, "description": "no matter"}
    with pytest.raises(ConfigError, match=r"groups\.a\.clients: 5 / 6") as caught:
        compared(folder / "1", [Known()], [Known(seed=2, scenario=other)])
    assert "--different-scenarios" in str(caught.value)
    forced = compared(folder / "2", [Known()], [Known(seed=2, scenario=other)], different_scenarios=True)
    assert any("groups.a.clients: 5 / 6" in note for note in forced.notes)


def test_runs_without_a_stage_in_common_are_refused(folder: Path) -> None:
    stages = [{"name": "else", "kind": "hold", "started_at_s": 0.0, "duration": 5.0, "record": True}]
    with pytest.raises(ConfigError, match="no recorded stage in common"):
        compared(folder, [Known()], [Known(result={"stages": stages})])


def test_what_else_differs_is_noted(folder: Path) -> None:
    newer = {"broker": {"kind": "rabbitmq", "version": "4.4.0"}}
    found = compared(folder, [Known()], [Known(seed=2, result=newer)])
    assert any("broker's version: 4.3.6 / 4.4.0" in note for note in found.notes)
