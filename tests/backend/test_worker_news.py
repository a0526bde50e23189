"""What the coordinator makes of what workers say, and of their silence."""

from __future__ import annotations

from typing import Any

import pytest

from loadgen.backend import worker_news
from loadgen.backend.messages import Failed, Final, Progress, Ready
from loadgen.backend.worker_news import LONGEST_SILENCE, WorkerNews


class Clock:
    """Time that passes when a test says so, in seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker_news, "monotonic", clock)
    return clock


def progress(worker: int, stage: str = "drain", **counts: int) -> Progress:
    zero = dict.fromkeys(("ready", "failed", "pending", "inflight", "backlog", "expected", "unique"), 0)
    return Progress(worker=worker, stage=stage, returning={}, **{**zero, **counts})


def final(worker: int) -> Final:
    nothing: Any = {}
    return Final(worker, nothing, nothing, 0, 0.0, 0, None)


def news(clock: Clock, workers: int = 2) -> WorkerNews:
    return WorkerNews(workers, _checked=clock.now)


def test_a_drain_is_settled_when_every_worker_says_so(clock: Clock) -> None:
    heard = news(clock)
    heard.take(progress(0, expected=5, unique=5))
    assert not heard.settled("drain"), "one worker has not spoken"
    # A message published on one worker is delivered on the other: only the sums tell.
    heard.take(progress(0, expected=5, unique=0))
    heard.take(progress(1, expected=0, unique=4))
    assert not heard.settled("drain"), "a delivery is missing"
    heard.take(progress(1, expected=0, unique=5))
    assert heard.settled("drain")
    assert not heard.settled("another")
    for under_way in ({"inflight": 1}, {"backlog": 1}, {"stage": "steady"}):
        heard.take(progress(1, expected=0, unique=5, **under_way))
        assert not heard.settled("drain"), under_way


def test_a_connect_stage_is_over_when_nobody_is_pending(clock: Clock) -> None:
    heard = news(clock)
    heard.take(progress(0, "connect", ready=3, failed=1))
    heard.take(progress(1, "connect", ready=1, pending=2))
    assert (heard.ready, heard.failed, heard.pending) == (4, 1, 2)
    assert not heard.connected("connect")
    heard.take(progress(1, "connect", ready=3))
    assert heard.connected("connect")


def test_workers_end_by_finishing_or_by_being_lost(clock: Clock) -> None:
    heard = news(clock)
    said: list[Progress | Ready | Final | Failed] = [Ready(0, 1), Ready(1, 1), final(0), Failed(1, "it died")]
    states = []
    for message in said:
        heard.take(message)
        states.append((heard.all_set_up, heard.all_ended))
    assert states == [(False, False), (True, False), (True, False), (True, True)]
    assert heard.lost == ["it died"]


def test_a_silent_worker_is_told_and_one_that_ended_is_not(clock: Clock) -> None:
    heard = news(clock, 3)
    for worker in range(3):
        heard.take(progress(worker))
    heard.take(final(2))
    for _ in range(int(LONGEST_SILENCE) + 1):
        clock.now += 1.0
        heard.take(progress(0))
        told = list(heard.silent())
    assert told == [(1, LONGEST_SILENCE + 1)]
    assert heard.silence == LONGEST_SILENCE + 1


def test_a_coordinator_that_was_stopped_itself_gives_nobody_up(clock: Clock) -> None:
    heard = news(clock, 1)
    heard.take(progress(0))
    clock.now += 60.0  # nobody looked all this time
    assert list(heard.silent()) == []
    clock.now += 1.0
    assert list(heard.silent()) == [], "the worker gets a fresh start"
    assert heard.silence >= 60.0, "and the gap stays on record"
