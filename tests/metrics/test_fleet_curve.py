"""Down or not: a fleet's rate in a fault, against what it did before."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from loadgen.metrics.fleet_curve import TENTH, Curve, Low, baseline, curve_of, lows

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGIN = 7_000_000_000
FAULT = 400
"""The tenth in which the fault is injected."""


def full(_at: int) -> float:
    return 1.0


def at(tenth: float) -> int:
    return ORIGIN + round(tenth * TENTH)


def curve(counts: list[int], metric: str = "acknowledged", load: Callable[[int], float] = full) -> Curve:
    return Curve(metric, dict(enumerate(counts)), ORIGIN, load)


def low(made: Curve, end: float, start: float = FAULT) -> Low | None:
    return lows(made, baseline(made, at(start)), at(start), at(end))


def test_a_rate_that_falls_and_comes_back() -> None:
    counts = [100] * 400 + [100, 0, 0, 50, 60, 80, 130] + [100] * 50
    found = low(curve(counts), 457)
    assert found is not None
    assert (found.tenths, found.first, found.last) == (1, at(401), at(405))
    assert found.seconds == pytest.approx(0.4), "80 of 100 may be chance"
    assert (found.lasting, found.deepest) == (False, 0.0)


def test_a_rate_that_stays_low_is_not_back() -> None:
    found = low(curve([100] * 400 + [60] * 100), 500)
    assert found is not None
    assert found.lasting
    assert found.seconds == pytest.approx(10.0)


def test_a_steady_rate_is_never_down() -> None:
    found = low(curve([100] * 500), 500)
    assert found == Low(1, 0.0, None, None, lasting=False, deepest=None)


@pytest.mark.parametrize("mean", [12, 60, 300])
def test_chance_alone_takes_no_fleet_down(mean: int) -> None:
    """Random arrivals over ten minutes: what looks low by chance is not called an outage."""
    dice = random.Random(4)
    for _ in range(5):
        counts = [max(round(dice.gauss(mean, mean**0.5)), 0) for _ in range(6400)]
        found = low(curve(counts), 6400)
        assert found is not None
        assert found.seconds == 0


def test_few_messages_need_wide_bins() -> None:
    counts = [1 if tenth % 5 == 0 else 0 for tenth in range(400)] + [0] * 100 + [1, 0, 0, 0, 0] * 40
    found = low(curve(counts), 700)
    assert found is not None
    assert found.tenths == 50, "2 messages a second: 10 in five seconds"
    assert found.seconds == pytest.approx(10.0)
    assert low(curve([1 if tenth % 50 == 0 else 0 for tenth in range(700)]), 700) is None, "too few to tell"


def test_a_fleet_that_always_stutters_is_not_down_when_it_does() -> None:
    counts = [0, 0, 300] * 300
    found = low(curve(counts), 900)
    assert found is not None
    assert found.seconds == 0


def test_a_smaller_load_is_no_outage_and_neither_is_the_drain() -> None:
    def load(when: int) -> float:
        tenth = (when - ORIGIN) // TENTH
        return 1.0 if tenth < 420 else 0.5 if tenth < 500 else 0.0

    counts = [100] * 410 + [0] * 10 + [50] * 70 + [0] * 10 + [0] * 100
    found = low(curve(counts, load=load), 600)
    assert found is not None
    assert found.seconds == pytest.approx(2.0)
    assert (found.first, found.last) == (at(410), at(500))


def test_ready_clients_stand_in_where_nobody_publishes() -> None:
    counts = [50] * 400 + [30] * 7 + [46] * 50
    made = curve_of({"acknowledged": {0: 0}, "received": {}, "ready": dict(enumerate(counts))}, ORIGIN, full)
    assert made.metric == "ready"
    found = low(made, 457)
    assert found is not None
    assert found.seconds == pytest.approx(0.7)
    assert made.rate(range(400)) == 50


def test_the_curve_that_tells_most() -> None:
    assert curve_of({"acknowledged": {1: 3}, "received": {1: 9}}, ORIGIN, full).metric == "acknowledged"
    assert curve_of({"acknowledged": {1: 0}, "received": {1: 9}}, ORIGIN, full).metric == "received"


def test_a_baseline_has_three_to_thirty_seconds_of_load_without_another_fault() -> None:
    made = curve([100] * 500)
    assert baseline(made, at(FAULT)) == list(range(100, 400))
    assert baseline(made, at(45.5)) == list(range(45))
    assert baseline(made, at(29)) == []
    assert baseline(made, at(FAULT), [(at(200.5), at(310))]) == list(range(311, 400))
    assert baseline(made, at(FAULT), [(at(200.5), at(380))]) == []
    late = curve([100] * 500, load=lambda when: 1.0 if when >= at(350) else 0.0)
    assert baseline(late, at(FAULT)) == list(range(350, 400))
    assert low(curve([100] * 500), 60, 20) is None, "no baseline, no judgement"
