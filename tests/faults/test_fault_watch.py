"""When a window closes: not before the fault is healed, everyone is back, and the rate is what it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.faults.fault_run import FaultRun, Outcome
from loadgen.faults.watch import CALM_SECONDS, FaultWatch, Second, is_low
from loadgen.metrics.fault_record import FaultRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

S = 1_000_000_000


@dataclass
class Rig:
    away: int = 0
    waits: bool = False
    closed: list[tuple[str, str, int]] = field(default_factory=list)
    now: int = 0

    def __post_init__(self) -> None:
        self.watch = FaultWatch(self._close, lambda _: self.waits, lambda: self.away)

    def _close(self, run: FaultRun, by: str) -> None:
        run.record.closed_ns, run.record.closed_by = self.now * S, by
        self.closed.append((run.record.name, by, self.now))

    def begin(self, *, number: int = 0, at_least: int = 0, outcome: Outcome = Outcome.INJECTED) -> FaultRun:
        at = self.now * S
        record = FaultRecord(number, f"kill-{number}", "kill", injected_ns=at, injected_done_ns=at)
        run = FaultRun(record, outcome=outcome, at_least=at_least)
        self.watch.begin(run)
        return run

    def seconds(self, counts: Iterable[int], *, hold: bool = True, load: float = 1.0) -> None:
        for count in counts:
            self.now += 1
            counted = {"acknowledged": count, "received": 2 * count}
            self.watch.second(Second((self.now - 1) * S, self.now * S, hold, load * S, counted))


def test_it_closes_when_the_rate_is_back() -> None:
    rig = Rig()
    rig.seconds([100] * 10)
    rig.begin()
    rig.seconds([0, 40, 69, 99, 69])
    assert not rig.closed
    rig.seconds([100] * CALM_SECONDS)
    assert rig.closed == [("kill-0", "recovery", 15 + CALM_SECONDS)]


def test_it_waits_for_the_healing_and_for_everyone() -> None:
    rig = Rig(away=1, waits=True)
    rig.seconds([100] * 10)
    run = rig.begin(outcome=Outcome.INJECTING)
    rig.seconds([100] * 5)
    run.outcome = Outcome.INJECTED
    rig.seconds([100] * 5)
    rig.waits = False
    run.record.healed_ns = rig.now * S + S // 2
    rig.seconds([100] * 5)
    assert not rig.closed
    rig.away = 0
    rig.seconds([100])
    assert len(rig.closed) == 1


def test_a_second_that_began_before_the_healing_was_done_says_nothing() -> None:
    rig = Rig()
    rig.seconds([100] * 10)
    run = rig.begin()
    run.record.healed_ns = 15 * S + 1
    rig.seconds([100] * 7)
    assert not rig.closed
    rig.seconds([100] * CALM_SECONDS)
    assert [when for *_, when in rig.closed] == [16 + CALM_SECONDS]


def test_the_rate_is_measured_by_what_is_due() -> None:
    rig = Rig()
    rig.seconds([100] * 10)
    rig.begin()
    rig.seconds([100] * 5, load=2.0)
    assert not rig.closed
    rig.seconds([50] * 5, load=0.5)
    assert rig.closed


def test_without_publishing_the_rate_is_nobodys_measure() -> None:
    rig = Rig(away=1)
    rig.seconds([100] * 10)
    rig.begin()
    rig.seconds([0] * 5, hold=False)
    assert not rig.closed
    rig.away = 0
    rig.seconds([0], hold=False)
    assert rig.closed


def test_a_fault_right_at_the_start_has_no_baseline() -> None:
    rig = Rig()
    rig.seconds([100] * 2)
    rig.begin()
    rig.seconds([0] * CALM_SECONDS)
    assert rig.closed


def test_seconds_in_a_window_are_no_baseline_for_the_next_fault() -> None:
    rig = Rig()
    rig.seconds([100] * 10)
    rig.begin()
    rig.seconds([10] * 40)
    rig.begin(number=1)
    rig.seconds([10] * 5)
    assert not rig.closed
    rig.seconds([100] * CALM_SECONDS)
    assert [name for name, *_ in rig.closed] == ["kill-0", "kill-1"]


def test_a_mark_may_ask_for_time() -> None:
    rig = Rig()
    rig.seconds([100] * 10)
    rig.begin(at_least=8 * S)
    rig.seconds([100] * 7)
    assert not rig.closed
    rig.seconds([100])
    assert rig.closed


@given(st.floats(1, 1e6))
def test_what_is_due_is_not_low_and_nothing_is_when_enough_was_due(expected: float) -> None:
    assert not is_low(expected, expected)
    assert is_low(0, expected) == (expected > 9)


@pytest.mark.parametrize(("count", "low"), [(90, False), (71, False), (69, True)])
def test_chance_is_no_outage(count: int, low: object) -> None:
    assert is_low(count, 100) is low
