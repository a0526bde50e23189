"""The pacing driver on a clock of the test's own: never early, nothing lost, nobody starved."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.engine import pacing
from loadgen.engine.pacing import PacingDriver
from loadgen.plan.pacer import ConstantPacer
from loadgen.plan.schedule import Segment, segments
from tests.engine.clockwork import Clockwork

MS = 1_000_000
SECOND = 1_000 * MS


class Sink:
    """A stream and its client in one: keeps what it was told to publish, and how long that took."""

    def __init__(self, clock: Clockwork, cost: int = 0) -> None:
        self.clock, self.cost = clock, cost
        self.client: Any = self
        self.lanes = None
        self.published: list[tuple[int, int]] = []
        """(intended, when)."""

    def publish(self, _stream: object, intended: int) -> None:
        self.published.append((intended, self.clock.now))
        self.clock.now += self.cost


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    clock = Clockwork()
    monkeypatch.setattr(pacing, "monotonic_ns", clock.monotonic_ns)
    return clock


def driver(clock: Clockwork, *lines: tuple[float, list[Sink]]) -> PacingDriver:
    made: list[Any] = [
        (ConstantPacer(list(range(len(sinks))), len(sinks), rate), sinks) for rate, sinks in lines
    ]
    loop: Any = clock
    return PacingDriver(loop, made)


def test_every_message_goes_when_it_is_due_and_never_before(clock: Clockwork) -> None:
    sinks = [Sink(clock) for _ in range(3)]
    paced = driver(clock, (10.0, sinks))
    start = clock.now
    (segment,) = segments([(SECOND, 1.0, 1.0)])
    paced.start(segment, start)
    clock.advance(2 * SECOND)
    for place, sink in enumerate(sinks):
        assert [intended for intended, _ in sink.published] == [
            start + int((place + 3 * n) * SECOND / 30) for n in range(10)
        ]
        assert all(0 <= when - intended <= MS for intended, when in sink.published)


def test_stages_join_without_a_message_lost_or_sent_twice(clock: Clockwork) -> None:
    sink = Sink(clock)
    paced = driver(clock, (100.0, [sink]))
    start = clock.now
    laid = segments([(SECOND, 0.5, 0.5), (SECOND, 1.0, 3.0), (SECOND, 0.0, 0.0), (SECOND, 1.0, 1.0)])
    for number, segment in enumerate(laid):
        begins = start + number * SECOND
        paced.start(segment, begins)
        clock.advance(SECOND)
        paced.stop()
        lower, upper = begins, begins + SECOND
        within = [intended for intended, _ in sink.published if lower <= intended < upper]
        assert len(within) == [50, 200, 0, 100][number]
    assert len(sink.published) == 350


def test_a_loop_that_was_away_sends_all_that_fell_due(clock: Clockwork) -> None:
    sink = Sink(clock)
    paced = driver(clock, (1000.0, [sink]))
    (segment,) = segments([(SECOND, 1.0, 1.0)])
    start = clock.now
    paced.start(segment, start)
    clock.now += 10 * SECOND
    paced.stop()
    assert [intended for intended, _ in sink.published] == [start + n * MS for n in range(1000)]


def test_an_early_stop_sends_what_was_due_and_no_more(clock: Clockwork) -> None:
    sink = Sink(clock)
    paced = driver(clock, (10.0, [sink]))
    start = clock.now
    paced.start(segments([(SECOND, 1.0, 1.0)])[0], start)
    clock.now = start + 450 * MS
    paced.stop()
    assert len(sink.published) == 5
    clock.advance(SECOND)
    assert len(sink.published) == 5


def test_a_burst_leaves_the_loop_room_and_no_line_starves(clock: Clockwork) -> None:
    # Both lines ask for twice of what can be sent: 1 ms for each message.
    first, second = Sink(clock, cost=MS), Sink(clock, cost=MS)
    paced = driver(clock, (1000.0, [first]), (1000.0, [second]))
    paced.start(segments([(SECOND, 1.0, 1.0)])[0], clock.now)
    begun = clock.now
    clock.advance(0)
    assert clock.now - begun <= 10 * MS, "a burst ends after 5 ms"
    clock.advance(900 * MS)
    sent = sorted([len(first.published), len(second.published)])
    assert sum(sent) > 800
    assert sent[0] > 0.4 * sum(sent)


def test_a_ramp_from_nothing_runs(clock: Clockwork) -> None:
    sink = Sink(clock)
    paced = driver(clock, (100.0, [sink]))
    paced.start(Segment(0, SECOND, 0.0, 1.0), clock.now)
    clock.advance(SECOND)
    assert len(sink.published) == 50
