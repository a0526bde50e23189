"""Operations belong to the stage they were intended in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.bookkeeping import StageBooks
from loadgen.metrics.recorder import Recorder

if TYPE_CHECKING:
    from loadgen.metrics.recorder import GroupRecorder

STAGES = st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=6)


@pytest.fixture
def present() -> GroupRecorder:
    return Recorder().group("sensors")


def test_everything_is_recorded_before_the_first_stage(present: GroupRecorder) -> None:
    books = StageBooks(0)
    assert books.recorder(0, present) is present
    assert books.recorder(1 << 62, present) is present


def test_what_ends_in_the_next_stage_counts_for_its_own(present: GroupRecorder) -> None:
    books = StageBooks(3)
    books.announce("steady", 100, record=True)
    books.enter("steady")
    books.announce("drain", 200, record=True)
    books.enter("drain")
    late = books.recorder(150, present)
    assert late is not None
    assert late is not present
    late.publish_latency.append(5_000_000)
    [(stage, recorder)] = books.closed()
    snapshot = recorder.snapshot(interval=7, start_ns=200, end_ns=300, stage=stage)
    assert (snapshot.stage, snapshot.worker) == ("steady", 3)
    assert snapshot.select("publish_latency", "sensors").count == 1


def test_an_earlier_stage_announced_after_a_later_one_comes_between(present: GroupRecorder) -> None:
    # The next stage was announced ahead, and the run is interrupted before it starts.
    books = StageBooks(0)
    books.announce("steady", 100, record=True)
    books.enter("steady")
    books.announce("cool-down", 300, record=False)
    books.announce("settle", 200, record=True)
    books.enter("settle")
    assert books.recorder(250, present) is present
    assert books.recorder(150, present) is not present
    assert books.recorder(350, present) is None


@given(STAGES, st.data())
def test_every_time_has_the_stage_that_covers_it(stages: list[tuple[int, bool]], data: st.DataObject) -> None:
    books = StageBooks(0)
    covering: list[tuple[int, bool]] = []
    at = 1
    for number, (length, record) in enumerate(stages):
        books.announce(str(number), at, record=record)
        covering += [(number, record)] * length
        at += length
    current = data.draw(st.integers(0, len(stages) - 1))
    books.enter(str(current))
    present = Recorder().group("g")
    for instant, (number, record) in enumerate(covering, 1):
        found = books.recorder(instant, present)
        if not record:
            assert found is None
        elif number == current:
            assert found is present
        else:
            assert found is not None
            assert found is not present
