"""Put every (publisher, subscriber, sequence number) into exactly one class (docs/architecture.md)."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING

from loadgen.metrics.ledger_result import LedgerResult, WorstPair
from loadgen.metrics.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from loadgen.metrics.delivery_log import PublisherLog, SubscriberLog

_WORST = 20
_NOTHING = RangeSet()


def classify(
    publishers: Mapping[int, PublisherLog],
    subscribers: Mapping[int, SubscriberLog],
    pairs: Iterable[tuple[int, int, int]],
    *,
    settled: bool,
    expiring: Container[int] = (),
    window: Mapping[int, tuple[int, int]] | None = None,
) -> LedgerResult:
    """Put every sequence number of every pair into its class.

    Args:
        publishers: Logs by publisher id.
        subscribers: Logs by subscriber id.
        pairs: (publisher, subscriber, effective QoS) from the plan; no pair twice: when several filters of a
            subscriber match, give the highest QoS. Fastest when the pairs of one subscriber are neighbours.
        settled: Whether the drain stage ended; if not, nothing is called lost.
        expiring: Publishers whose messages may have expired at the broker; what of them never arrived is
            not called lost.
        window: publisher → the sequence numbers `[start, stop)` to look at; nothing of a publisher that is
            not in it. What has no sequence number to tell by stays 0: unexpected, reordered, not_attempted.

    Returns:
        The counts. A pair in which all went well costs O(1), any other O(its gaps).
    """
    senders = {
        number: _Sender(log, None if window is None else window.get(number, (0, 0)))
        for number, log in publishers.items()
    }
    result = LedgerResult(settled=settled)
    worst: list[WorstPair] = []
    paired: dict[int, list[int]] = {number: [] for number in subscribers}
    current, log, mine = -1, None, list[int]()
    plain = not_attempted = 0
    for publisher, subscriber, qos in pairs:
        if subscriber != current:
            current, log, mine = subscriber, subscribers.get(subscriber), paired.get(subscriber, mine)
        result.pairs += 1
        sender = senders.get(publisher)
        if log is None or sender is None:
            result.unaccounted += 1
            continue
        mine.append(publisher)
        not_attempted += sender.not_attempted
        if log.due(publisher) == sender.complete and publisher not in log.irregular:
            plain += sender.stop - sender.start
            continue
        found = _classify_pair(
            result, sender, log, (publisher, subscriber, qos), may_expire=publisher in expiring
        )
        if found is not None:
            (heapq.heappushpop if len(worst) == _WORST else heapq.heappush)(worst, found)
    result.ok += plain
    result.expected += plain
    result.delivered += plain
    result.worst = sorted(worst, reverse=True)
    if window is not None:
        return result
    result.not_attempted = not_attempted
    for number, log in subscribers.items():
        result.unexpected += log.foreign + _stray(log, paired[number])
    return result


class _Sender:
    """A publisher's log, with what every one of its pairs asks for worked out once."""

    __slots__ = ("complete", "not_attempted", "qos", "sent", "start", "stop", "unacked", "whole")

    def __init__(self, log: PublisherLog, span: tuple[int, int] | None) -> None:
        self.whole = span is None
        start, stop = span or (0, log.sent)
        self.stop = min(stop, log.sent)
        self.start = min(start, self.stop)
        self.qos = log.qos
        self.sent = log.sent
        self.not_attempted = log.not_attempted
        # QoS 0 has no acknowledgement to wait for: what was delivered once is as good as it gets.
        self.unacked = log.unacknowledged() if log.qos else _NOTHING
        self.complete = -1 if self.unacked else log.sent


def _stray(log: SubscriberLog, paired: list[int]) -> int:
    """Count what a subscriber received from publishers it has no subscription for, or that nobody is."""
    stray = log.heard.difference(paired)
    return sum(log.due(number) - len(log.missing(number)) for number in stray)


def _classify_pair(
    result: LedgerResult,
    sender: _Sender,
    log: SubscriberLog,
    pair: tuple[int, int, int],
    *,
    may_expire: bool,
) -> WorstPair | None:
    """Add a pair with gaps of any kind to the result; gives it back if the broker did something wrong."""
    publisher, subscriber, qos = pair
    start, stop, unacked = sender.start, sender.stop, sender.unacked
    upto = min(max(log.due(publisher), start), stop)
    stream = log.irregular.get(publisher)
    missing, duplicated, reordered = _NOTHING, _NOTHING, 0
    if stream is not None:
        missing = stream.missing
        duplicated = stream.duplicated.clip(start, stop) if stream.duplicated else _NOTHING

    if sender.whole:
        reordered = stream.reordered if stream is not None else 0
        result.reordered += reordered
        due, sent = log.due(publisher), sender.sent
        if due > sent:
            result.unexpected += due - sent - missing.count(sent, due)

    # Delivered: what is below `upto` and not missing.
    delivered = upto - start - missing.count(start, upto)
    recovered = unacked.count(start, upto)
    if recovered and (missing or duplicated):
        recovered = len(unacked.clip(start, upto) - missing - duplicated)
    result.expected += stop - start
    result.delivered += delivered
    result.duplicate += len(duplicated)
    result.recovered += recovered
    result.ok += delivered - len(duplicated) - recovered

    # Never delivered.
    never = stop - start - delivered
    lost = unsettled = 0
    broken = _NOTHING
    if min(qos, sender.qos) == 0:
        result.indeterminate_qos0 += never
    elif never > unacked.count(upto, stop):
        promised = missing.clip(start, upto) if missing else RangeSet()
        promised.add_range(upto, stop)
        promised = promised - unacked
        broken = promised - _excused(log, publisher, sender.sent)
        result.session_gap += len(promised) - len(broken)
        if may_expire:
            result.expired += len(broken)
            broken = _NOTHING
        lost, unsettled = (len(broken), 0) if result.settled else (0, len(broken))
    result.lost += lost
    result.unsettled += unsettled
    result.indeterminate += never - lost
    if not (lost or unsettled or duplicated or reordered):
        return None
    ranges = list(islice(broken.ranges(), _WORST))
    return WorstPair(lost, unsettled, len(duplicated), reordered, publisher, subscriber, ranges)


def _excused(log: SubscriberLog, publisher: int, sent: int) -> RangeSet:
    """Give the sequence numbers sent while the broker had no session of the subscriber, as far as known."""
    stream = log.irregular.get(publisher)
    if stream is None:
        return RangeSet([(0, sent)]) if log.absent and log.due(publisher) == 0 else _NOTHING
    if stream.parked < 0:
        return stream.excused
    return stream.excused | RangeSet([(stream.parked, sent)])
