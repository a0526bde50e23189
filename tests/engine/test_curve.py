from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.curve import TENTH, Curve
from loadgen.metrics.recorder import Recorder
from tests.engine.clockwork import Clockwork

if TYPE_CHECKING:
    import asyncio


class Bench:
    """A curve over one group's counters, in the hand of a test's clock."""

    def __init__(self) -> None:
        self.clock = Clockwork()
        self.recorder = Recorder()
        self.group = self.recorder.group("g")
        self.ready = 0
        self.curve = Curve(cast("asyncio.AbstractEventLoop", self.clock), self.recorder, lambda: self.ready)
        self.origin = self.clock.now
        self.over: dict[str, dict[int, int]] = {}

    def cut(self, *, last: bool = False) -> dict[str, dict[int, int]]:
        tenths = self.curve.interval_ends(last=last)
        self.recorder.snapshot(interval=0, start_ns=0, end_ns=1, stage="s")
        for name, curve in tenths.items():
            mine = self.over.setdefault(name, {})
            assert not mine.keys() & curve.keys(), "each tenth is told once"
            mine.update(curve)
        return tenths


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr("loadgen.engine.curve.monotonic_ns", made.clock.monotonic_ns)
    return made


def test_each_tenth_gets_what_was_counted_in_it(bench: Bench) -> None:
    bench.curve.start(bench.origin)
    for number in range(25):
        bench.clock.advance(TENTH // 2)
        bench.group.published += number
        bench.ready = number
        bench.clock.advance(TENTH // 2)
        if number == 9:
            tenths = bench.cut()
            assert list(tenths["published"]) == list(range(10))
    bench.cut()
    assert bench.over["published"] == {number: number for number in range(25)}
    assert bench.over["ready"] == {number: number for number in range(25)}
    assert set(bench.over["acknowledged"].values()) == {0}


def test_a_stall_spreads_its_counts_evenly_over_the_time_it_took(bench: Bench) -> None:
    bench.curve.start(bench.origin)
    bench.clock.advance(2 * TENTH)
    for each in bench.clock.handles:
        each.due += 5 * TENTH  # the loop does not wake
    bench.group.received += 60
    bench.clock.advance(6 * TENTH)
    bench.cut()
    assert [bench.over["received"][tenth] for tenth in range(2, 8)] == [10] * 6


def test_the_end_of_the_run_gives_the_tenth_that_has_begun(bench: Bench) -> None:
    bench.curve.start(bench.origin)
    bench.clock.advance(TENTH + TENTH // 3)
    bench.group.published += 7
    bench.cut(last=True)
    assert sum(bench.over["published"].values()) == 7
    assert sorted(bench.over["published"]) == [0, 1]


@given(st.lists(st.tuples(st.integers(1, 400_000_000), st.integers(0, 50), st.booleans()), max_size=30))
def test_no_count_is_lost_whenever_it_is_looked_at(steps: list[tuple[int, int, bool]]) -> None:
    bench = Bench()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loadgen.engine.curve.monotonic_ns", bench.clock.monotonic_ns)
        bench.curve.start(bench.origin)
        for wait, count, cut in steps:
            bench.clock.advance(wait)
            bench.group.acknowledged += count
            if cut:
                bench.cut()
        bench.cut(last=True)
    assert sum(bench.over["acknowledged"].values()) == sum(count for _, count, _ in steps)
    assert sorted(bench.over["acknowledged"]) == list(range(len(bench.over["acknowledged"])))
