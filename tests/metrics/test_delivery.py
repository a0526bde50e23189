from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import WorkerError
from loadgen.metrics.delivery import Ledger, LedgerResult, PublisherLog, SubscriberLog, classify

PUBLISHERS, SUBSCRIBERS, MOST = 2, 2, 7
publisher = st.integers(0, PUBLISHERS - 1)
subscriber = st.integers(0, SUBSCRIBERS - 1)
seq = st.integers(0, MOST)
Event = tuple[str, int, int, int]
events = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["deliver", "next", "next", "ahead"]), publisher, subscriber, seq),
        st.tuples(st.sampled_from(["lose", "late", "keep", "foreign", "skip"]), publisher, subscriber, seq),
    ),
    max_size=24,
)
refused = st.sets(st.integers(0, MOST - 1), max_size=3)
senders_of = st.tuples(*[st.tuples(st.sampled_from([1, 1, 0]), seq, refused)] * PUBLISHERS)
Senders = tuple[tuple[int, int, set[int]], ...]
# Most pairs are there, most at QoS 1; None is a pair without a subscription.
levels = st.tuples(*[st.sampled_from([1, 1, 1, 0, None])] * (PUBLISHERS * SUBSCRIBERS))
pairs_of = levels.map(
    lambda drawn: {
        divmod(number, SUBSCRIBERS): level for number, level in enumerate(drawn) if level is not None
    }
)


@dataclass
class Heard:
    """One subscriber's view of one publisher, with every message kept."""

    messages: list[int] = field(default_factory=list)
    excused: set[int] = field(default_factory=set)
    away_since: int | None = None
    reordered: int = 0

    @property
    def due(self) -> int:
        return max(self.messages, default=-1) + 1

    def receive(self, number: int) -> None:
        if number >= self.due:
            if self.away_since is not None:
                self.excused.update(range(self.away_since, number))
                self.away_since = None
        elif number not in self.messages:
            self.reordered += 1
        self.messages.append(number)

    def leave(self) -> None:
        if self.away_since is None:
            self.away_since = self.due


class Model:
    """The ledger's brute-force twin: keeps every message and asks of each number what became of it."""

    def __init__(self, senders: Senders) -> None:
        self.qos = [qos for qos, _, _ in senders]
        self.sent = [sent for _, sent, _ in senders]
        self.acked = [set(range(sent)) - refused for _, sent, refused in senders]
        self.skipped = [0] * PUBLISHERS
        self.foreign = 0
        self.heard = {(p, s): Heard() for p in range(PUBLISHERS) for s in range(SUBSCRIBERS)}

    def classify(self, pairs: dict[tuple[int, int], int], *, settled: bool) -> LedgerResult:
        counts: Counter[str] = Counter(unexpected=self.foreign)
        for (p, s), heard in self.heard.items():
            if (p, s) not in pairs:
                counts["unexpected"] += len(set(heard.messages))
                continue
            counts["not_attempted"] += self.skipped[p]
            counts["reordered"] += heard.reordered
            counts["pairs"] += 1
            for number in range(99):
                for name in self._classes(p, heard, number, pairs[p, s], settled=settled):
                    counts[name] += 1
        result = LedgerResult(settled=settled)
        for name, count in counts.items():
            setattr(result, name, count)
        return result

    def _classes(self, p: int, heard: Heard, number: int, qos: int, *, settled: bool) -> list[str]:
        copies = heard.messages.count(number)
        if number >= self.sent[p]:
            return ["unexpected"] if copies else []
        acknowledged = self.qos[p] == 0 or number in self.acked[p]
        if copies:
            kind = "duplicate" if copies > 1 else "ok" if acknowledged else "recovered"
            return ["expected", "delivered", kind]
        if self.qos[p] == 0 or qos == 0:
            return ["expected", "indeterminate", "indeterminate_qos0"]
        if not acknowledged:
            return ["expected", "indeterminate"]
        if number in heard.excused or (heard.away_since is not None and number >= heard.away_since):
            return ["expected", "indeterminate", "session_gap"]
        return ["expected", "lost"] if settled else ["expected", "indeterminate", "unsettled"]


class Play:
    """Does the same to the ledger and to the model."""

    def __init__(self, senders: Senders) -> None:
        self.model = Model(senders)
        self.ledger = Ledger(subscribers={s: SubscriberLog() for s in range(SUBSCRIBERS)})
        for p, (qos, sent, _) in enumerate(senders):
            log = self.ledger.publishers[p] = PublisherLog(qos)
            log.sent = sent
            for number in self.model.acked[p] if qos else ():
                log.ack(number)

    def skip(self, p: int, _s: int, _number: int) -> None:
        self.ledger.publishers[p].not_attempted += 1
        self.model.skipped[p] += 1

    def deliver(self, p: int, s: int, number: int) -> None:
        self.ledger.subscribers[s].receive(p, number)
        self.model.heard[p, s].receive(number)

    def next(self, p: int, s: int, _number: int) -> None:
        self.deliver(p, s, self.model.heard[p, s].due)

    def ahead(self, p: int, s: int, number: int) -> None:
        self.deliver(p, s, self.model.heard[p, s].due + 1 + number % 2)

    def foreign(self, _p: int, s: int, _number: int) -> None:
        self.ledger.subscribers[s].foreign += 1
        self.model.foreign += 1

    def keep(self, _p: int, s: int, _number: int) -> None:
        self.ledger.subscribers[s].session_lost(promised=True)

    def lose(self, _p: int, s: int, _number: int) -> None:
        self.ledger.subscribers[s].session_lost()
        for p in range(PUBLISHERS):
            self.model.heard[p, s].leave()

    def late(self, _p: int, s: int, _number: int) -> None:
        self.ledger.subscribers[s].late_start()
        for p in range(PUBLISHERS):
            if not self.model.heard[p, s].messages:
                self.model.heard[p, s].leave()


def play(script: list[Event], senders: Senders) -> tuple[Ledger, Model]:
    both = Play(senders)
    for what, p, s, number in script:
        getattr(both, what)(p, s, number)
    return both.ledger, both.model


@settings(max_examples=500)
@given(events, senders_of, pairs_of, st.booleans())
def test_the_ledger_says_what_keeping_every_message_says(
    script: list[Event],
    senders: Senders,
    pairs: dict[tuple[int, int], int],
    settled: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    ledger, model = play(script, senders)
    triples = [(p, s, level) for (p, s), level in pairs.items()]
    result = classify(ledger.publishers, ledger.subscribers, triples, settled=settled)
    worst, result.worst = result.worst, []
    assert result == model.classify(pairs, settled=settled)
    assert sum(pair.lost for pair in worst) == result.lost
    assert sum(pair.unsettled for pair in worst) == result.unsettled
    assert (
        sum(stop - start for pair in worst for start, stop in pair.missing) == result.lost + result.unsettled
    )
    assert result.expected == sum(
        (result.ok, result.duplicate, result.lost, result.recovered, result.indeterminate)
    )
    assert result.delivered == result.ok + result.duplicate + result.recovered
    for s, log in ledger.subscribers.items():
        heard = [model.heard[p, s] for p in range(PUBLISHERS)]
        assert log.unique == sum(len(set(one.messages)) for one in heard)
        assert log.duplicates == sum(len(one.messages) - len(set(one.messages)) for one in heard)
        assert log.reordered == sum(one.reordered for one in heard)


@given(events, senders_of, pairs_of, st.booleans(), st.lists(st.tuples(seq, seq), max_size=3))
def test_windows_side_by_side_add_up_to_the_whole(
    script: list[Event],
    senders: Senders,
    pairs: dict[tuple[int, int], int],
    settled: bool,  # noqa: FBT001 - drawn by hypothesis
    cuts: list[tuple[int, int]],
) -> None:
    ledger, _ = play(script, senders)
    triples = [(p, s, level) for (p, s), level in pairs.items()]
    whole = classify(ledger.publishers, ledger.subscribers, triples, settled=settled)
    edges = [sorted({0, 99, *(cut[p] for cut in cuts)}) for p in range(PUBLISHERS)]
    parts = [
        classify(
            ledger.publishers,
            ledger.subscribers,
            triples,
            settled=settled,
            window={p: (of[n], of[n + 1]) for p, of in enumerate(edges) if n + 1 < len(of)},
        )
        for n in range(max(map(len, edges)) - 1)
    ]
    for name in (
        *("ok", "duplicate", "lost", "recovered", "indeterminate", "indeterminate_qos0", "session_gap"),
        *("unsettled", "expected", "delivered"),
    ):
        assert sum(getattr(part, name) for part in parts) == getattr(whole, name), name
    assert all(part.pairs == whole.pairs and part.unexpected == part.reordered == 0 for part in parts)
    assert sum(pair.lost for part in parts for pair in part.worst) == whole.lost


def test_a_window_counts_what_was_sent_inside_it() -> None:
    sender, log = pair(1, 10, [*range(5), 7, 8, 9], [0, 1, 2, 4, 4, 5])
    window = {0: (3, 8)}
    result = classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True, window=window)
    assert (result.expected, result.delivered) == (5, 2)
    assert (result.ok, result.duplicate, result.recovered) == (0, 1, 1)
    assert (result.lost, result.indeterminate) == (2, 1), "3 and 7 were acknowledged, 6 was not"
    assert result.worst[0].missing == [(3, 4), (7, 8)]
    assert classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True, window={}).expected == 0


@given(events, senders_of, pairs_of)
def test_neither_the_order_of_merging_nor_of_pairs_nor_the_wire_changes_anything(
    script: list[Event], senders: Senders, pairs: dict[tuple[int, int], int]
) -> None:
    ledger, _ = play(script, senders)
    triples = [(p, s, level) for (p, s), level in pairs.items()]
    whole = classify(ledger.publishers, ledger.subscribers, triples, settled=True)
    parts = [
        Ledger({0: ledger.publishers[0]}, {1: ledger.subscribers[1]}),
        Ledger({1: ledger.publishers[1]}, {0: ledger.subscribers[0]}),
        Ledger(),
    ]
    travelled = [Ledger.from_wire(json.loads(json.dumps(part.to_wire()))) for part in parts]
    for a, b, c in permutations(travelled):
        left, right = a.merge(b).merge(c), a.merge(b.merge(c)).merge(Ledger())
        for merged in (left, right):
            assert classify(merged.publishers, merged.subscribers, triples[::-1], settled=True) == whole


def pair(qos: int, sent: int, acked: list[int], received: list[int]) -> tuple[PublisherLog, SubscriberLog]:
    sender, log = PublisherLog(qos), SubscriberLog()
    sender.sent = sent
    for number in acked:
        sender.ack(number)
    for number in received:
        log.receive(0, number)
    return sender, log


def test_the_nine_classes_of_the_table() -> None:
    #           acknowledged: 0 1 2     not acknowledged: 3 4 5     never sent: 6 7
    sender, log = pair(1, 6, [0, 1, 2], [0, 1, 1, 3, 4, 4, 6, 7, 7])
    sender.not_attempted = 2
    result = classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True)
    assert (result.ok, result.duplicate, result.lost) == (1, 2, 1)
    assert (result.recovered, result.indeterminate) == (1, 1)
    assert (result.unexpected, result.not_attempted) == (2, 2)
    assert (result.expected, result.delivered) == (6, 4)
    assert result.to_dict()["worst"][0]["missing"] == [(2, 3)]


def test_a_duplicate_that_was_not_acknowledged_is_a_duplicate_and_not_recovered() -> None:
    sender, log = pair(1, 3, [0, 2], [0, 1, 1, 2])
    result = classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True)
    assert (result.ok, result.duplicate, result.recovered) == (2, 1, 0)


def test_qos_0_promises_nothing() -> None:
    sender, log = pair(0, 5, [], [0, 1, 3, 3])
    result = classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True)
    assert (result.ok, result.duplicate, result.lost, result.recovered) == (2, 1, 0, 0)
    assert (result.indeterminate, result.indeterminate_qos0) == (2, 2)


def test_nothing_is_lost_before_the_drain_has_ended() -> None:
    sender, log = pair(1, 3, [0, 1, 2], [0])
    result = classify({0: sender}, {0: log}, [(0, 0, 1)], settled=False)
    assert (result.lost, result.unsettled, result.indeterminate, result.settled) == (0, 2, 2, False)
    assert result.worst[0].missing == [(1, 3)]


def test_pairs_whose_logs_died_with_a_worker_are_left_out_and_counted() -> None:
    sender, log = pair(1, 3, [0, 1, 2], [0, 1, 2])
    log.receive(9, 0)
    result = classify({0: sender}, {0: log}, [(0, 0, 1), (0, 8, 1), (9, 0, 1)], settled=True)
    assert (result.pairs, result.unaccounted, result.ok, result.lost) == (3, 2, 3, 0)


def test_the_worst_twenty_come_first_and_are_bounded() -> None:
    publishers, subscribers = {}, {}
    for number in range(50):
        publishers[number] = PublisherLog(1)
        publishers[number].sent = publishers[number].acked_upto = 100
        subscribers[number] = log = SubscriberLog()
        for message in range(0, 100, 1 if number < 5 else 2):
            if message >= number:
                log.receive(number, message)
    pairs = [(number, number, 1) for number in range(50)]
    result = classify(publishers, subscribers, pairs, settled=True)
    assert len(result.worst) == 20
    assert [one.publisher for one in result.worst[:2]] == [49, 48]
    assert [one.lost for one in result.worst] == sorted((one.lost for one in result.worst), reverse=True)
    assert all(len(one.missing) <= 20 for one in result.worst)


def test_a_client_in_two_workers_is_our_bug() -> None:
    with pytest.raises(WorkerError, match="same client"):
        Ledger({1: PublisherLog(1)}).merge(Ledger({1: PublisherLog(1)}))
    with pytest.raises(WorkerError, match="same client"):
        Ledger(subscribers={1: SubscriberLog()}).merge(Ledger(subscribers={1: SubscriberLog()}))


def test_complete_pairs_are_classified_without_looking_at_messages() -> None:
    sender = PublisherLog(1)
    sender.sent = sender.acked_upto = 10**12
    log = SubscriberLog()
    log._next[0] = 10**12
    assert classify({0: sender}, {0: log}, [(0, 0, 1)], settled=True).ok == 10**12


def test_what_may_have_expired_is_not_called_lost() -> None:
    publishers, subscriber = {}, SubscriberLog()
    for number in (0, 1):
        publishers[number] = log = PublisherLog(1)
        log.sent = 10
        for seq in range(10):
            log.ack(seq)
            if seq % 5:
                subscriber.receive(number, seq)
    pairs = [(0, 0, 1), (1, 0, 1)]
    result = classify(publishers, {0: subscriber}, pairs, settled=True, expiring={1})
    assert (result.lost, result.expired, result.indeterminate, result.ok) == (2, 2, 2, 16)
    assert [each.publisher for each in result.worst] == [0]


def test_whether_a_message_is_here_already() -> None:
    log = SubscriberLog()
    for seq in (0, 1, 4):
        log.receive(7, seq)
    assert [log.has(7, seq) for seq in range(6)] == [True, True, False, False, True, False]
    assert not log.has(8, 0)
