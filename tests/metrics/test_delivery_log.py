from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.metrics.delivery_log import AHEAD, DUPLICATE, IN_ORDER, REORDERED, PublisherLog, SubscriberLog


@given(st.lists(st.integers(0, 20)), st.integers(21, 25))
def test_acknowledgements_in_any_order(acks: list[int], sent: int) -> None:
    log = PublisherLog(1)
    log.sent = sent
    for seq in acks:
        log.ack(seq)
        log = PublisherLog.from_wire(json.loads(json.dumps(log.to_wire())))
    assert list(log.unacknowledged()) == sorted(set(range(sent)) - set(acks))
    assert log.acknowledged == len(set(acks))
    assert (log.qos, log.sent) == (1, sent)


def test_acknowledgements_in_order_after_a_gap_cost_no_memory() -> None:
    log = PublisherLog(1)
    for seq in range(1, 10_000):
        log.ack(seq)
    assert log.to_wire()[-1] == [1, 10_000]
    log.ack(0)
    assert (log.acked_upto, log.to_wire()[-1]) == (10_000, [])


@pytest.mark.parametrize(
    ("seqs", "outcomes"),
    [
        ([0, 1, 2], [IN_ORDER, IN_ORDER, IN_ORDER]),
        ([0, 2, 1, 3], [IN_ORDER, AHEAD, REORDERED, IN_ORDER]),
        ([2, 0, 1, 3], [AHEAD, REORDERED, REORDERED, IN_ORDER]),
        ([0, 0, 1, 0], [IN_ORDER, DUPLICATE, IN_ORDER, DUPLICATE]),
        ([0, 2, 1, 1], [IN_ORDER, AHEAD, REORDERED, DUPLICATE]),
    ],
)
def test_each_message_is_told_from_the_others(seqs: list[int], outcomes: list[int]) -> None:
    log = SubscriberLog()
    assert [log.receive(4, seq) for seq in seqs] == outcomes
    assert log.duplicates == outcomes.count(DUPLICATE)
    assert log.reordered == outcomes.count(REORDERED)
    assert log.unique == len(set(seqs))
    assert log.heard == {4}


def test_publishers_do_not_mix() -> None:
    log = SubscriberLog()
    assert [log.receive(p, seq) for seq in range(3) for p in (1, 2)] == [IN_ORDER] * 6
    assert log.irregular == {}
    assert (log.due(1), log.due(2), log.due(3)) == (3, 3, 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9))))
def test_memory_is_bounded_by_gaps(messages: list[tuple[int, int]]) -> None:
    log = SubscriberLog()
    for publisher, seq in messages:
        log.receive(publisher, seq)
    ranges = sum(len(stream.missing.to_list()) // 2 for stream in log.irregular.values())
    gaps = {p: set(range(log.due(p))) - {s for q, s in messages if q == p} for p in log.heard}
    assert {p: set(log.missing(p)) for p in log.heard} == gaps
    assert ranges <= sum(len(gap) for gap in gaps.values())


def test_a_million_messages_after_one_gap_keep_one_range() -> None:
    log = SubscriberLog()
    log.receive(0, 0)
    for seq in range(2, 100_000):
        log.receive(0, seq)
    assert log.missing(0).to_list() == [1, 2]


def test_the_absence_of_a_session_is_excused_and_earlier_gaps_are_not() -> None:
    log = SubscriberLog()
    for seq in (0, 2):
        log.receive(1, seq)
    log.session_lost()
    assert log.receive(1, 7) == AHEAD
    assert log.irregular[1].missing.to_list() == [1, 2, 3, 7]
    assert log.irregular[1].excused.to_list() == [3, 7]
    assert log.receive(1, 8) == IN_ORDER


def test_a_lost_session_without_a_gap_leaves_none() -> None:
    log = SubscriberLog()
    log.receive(1, 0)
    log.session_lost()
    log.session_lost()
    assert log.due(1) == 1
    assert log.receive(1, 0) == DUPLICATE
    assert log.receive(1, 1) == IN_ORDER
    assert not log.irregular[1].excused


def test_a_promised_session_excuses_nothing() -> None:
    log = SubscriberLog()
    log.receive(1, 0)
    log.session_lost(promised=True)
    assert log.receive(1, 5) == AHEAD
    assert not log.irregular[1].excused
    assert log.receive(2, 5) == AHEAD
    assert not log.irregular[2].excused


def test_a_late_start_excuses_what_came_before() -> None:
    log = SubscriberLog()
    log.late_start()
    log.receive(1, 5)
    log.receive(1, 7)
    assert log.irregular[1].excused.to_list() == [0, 5]
    assert log.irregular[1].missing.to_list() == [0, 5, 6, 7]
