"""The delivery ledger: every (publisher, subscriber, sequence number) ends in exactly one class (DESIGN §6)."""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.errors import WorkerError
from loadgen.metrics.delivery_log import AHEAD, DUPLICATE, IN_ORDER, REORDERED, PublisherLog, SubscriberLog
from loadgen.metrics.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "AHEAD",
    "DUPLICATE",
    "IN_ORDER",
    "REORDERED",
    "Ledger",
    "LedgerResult",
    "PublisherLog",
    "SubscriberLog",
    "WorstPair",
    "classify",
]

_WORST = 20


@dataclass(frozen=True, slots=True, order=True)
class WorstPair:
    """A publisher and a subscriber between which messages went astray."""

    lost: int
    unsettled: int
    duplicate: int
    reordered: int
    publisher: int
    subscriber: int
    missing: list[tuple[int, int]] = field(compare=False)
    """The first 20 ranges `[start, stop)` of sequence numbers acknowledged and never delivered."""


@dataclass(slots=True)
class LedgerResult:
    """How many sequence numbers ended in each class, summed over all pairs."""

    ok: int = 0
    """Acknowledged (or sent at QoS 0) and delivered once."""
    duplicate: int = 0
    """Sent and delivered more than once."""
    lost: int = 0
    """Acknowledged, promised to this subscriber, and never delivered: the broker broke its promise."""
    recovered: int = 0
    """Sent, not acknowledged, delivered once."""
    indeterminate: int = 0
    """Sent, never delivered, and no promise broken; the next three say why, the rest was not acknowledged."""
    indeterminate_qos0: int = 0
    """Of the indeterminate: the effective QoS is 0, which promises nothing."""
    session_gap: int = 0
    """Of the indeterminate: acknowledged while the subscriber had no session at the broker."""
    unsettled: int = 0
    """Of the indeterminate: acknowledged, and the run ended before the drain stage did."""
    unexpected: int = 0
    """Delivered, and never sent by its publisher, or not meant for this subscriber, or without our header."""
    reordered: int = 0
    """Delivered after a later message of the same publisher; these are in another class as well."""
    not_attempted: int = 0
    """Due by the plan and never sent: the generator dropped them."""
    expected: int = 0
    """Sent messages times matching subscribers: the sum of ok, duplicate, lost, recovered and indeterminate."""
    delivered: int = 0
    """Of the expected: delivered at least once."""
    pairs: int = 0
    """Pairs looked at."""
    unaccounted: int = 0
    """Pairs left out because the publisher's or the subscriber's log is missing: a worker was lost."""
    settled: bool = True
    """Whether the drain stage ended, so that what is missing is really missing."""
    worst: list[WorstPair] = field(default_factory=list)
    """The 20 worst pairs, worst first."""

    def to_dict(self) -> dict[str, Any]:
        """Give the `ledger` object of `result.json`."""
        return asdict(self)


@dataclass(slots=True)
class Ledger:
    """All logs of one worker, or of several added up."""

    publishers: dict[int, PublisherLog] = field(default_factory=dict)
    subscribers: dict[int, SubscriberLog] = field(default_factory=dict)

    def merge(self, other: Ledger) -> Ledger:
        """Give both ledgers' logs together; the order of merging does not matter.

        Raises:
            WorkerError: Both hold the same publisher or subscriber: a client lives in one worker only.
        """
        if (
            self.publishers.keys() & other.publishers.keys()
            or self.subscribers.keys() & other.subscribers.keys()
        ):
            raise WorkerError("two workers report deliveries of the same client")
        return Ledger(self.publishers | other.publishers, self.subscribers | other.subscribers)

    def to_wire(self) -> dict[str, Any]:
        """Flatten for JSON or a pipe."""
        return {
            "publishers": [[number, *log.to_wire()] for number, log in self.publishers.items()],
            "subscribers": [[number, *log.to_wire()] for number, log in self.subscribers.items()],
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Ledger:
        """Read what `to_wire` wrote."""
        return cls(
            {row[0]: PublisherLog.from_wire(row[1:]) for row in wire["publishers"]},
            {row[0]: SubscriberLog.from_wire(row[1:]) for row in wire["subscribers"]},
        )


def classify(
    publishers: Mapping[int, PublisherLog],
    subscribers: Mapping[int, SubscriberLog],
    pairs: Iterable[tuple[int, int, int]],
    *,
    settled: bool,
) -> LedgerResult:
    """Put every sequence number of every pair into its class.

    Args:
        publishers: Logs by publisher id.
        subscribers: Logs by subscriber id.
        pairs: (publisher, subscriber, effective QoS), from the plan; each publisher and subscriber once, with the
            higher QoS when several of the subscriber's filters match. Neighbours with one subscriber are fastest.
        settled: Whether the drain stage ended; if not, nothing is called lost.

    Returns:
        The counts. A pair in which all went well costs O(1).
    """
    result = LedgerResult(settled=settled)
    # A publisher whose messages are all acknowledged, or need not be, by how many it sent.
    complete = {p: log.sent for p, log in publishers.items() if log.qos == 0 or log.acked_upto >= log.sent}
    paired: dict[int, list[int]] = {}
    worst: list[WorstPair] = []
    plain = skipped = count = 0
    current, log, mine = -1, None, paired.setdefault(-1, [])
    for count, (publisher, subscriber, qos) in enumerate(pairs, 1):  # noqa: B007 - read after the loop
        if subscriber != current:
            current, log = subscriber, subscribers.get(subscriber)
            mine = paired.setdefault(subscriber, [])
        mine.append(publisher)
        if log is None or publisher not in publishers:
            skipped += 1
            continue
        sent = complete.get(publisher, -1)
        if log.due(publisher) == sent and publisher not in log.irregular:
            plain += sent
            continue
        found = _classify_pair(result, publishers[publisher], log, (publisher, subscriber, qos))
        if found.lost or found.unsettled or found.duplicate or found.reordered:
            (heapq.heappushpop if len(worst) == _WORST else heapq.heappush)(worst, found)
    result.pairs, result.unaccounted = count, skipped
    result.ok += plain
    result.expected += plain
    result.delivered += plain
    result.worst = sorted(worst, reverse=True)
    for number, log in subscribers.items():
        result.unexpected += log.foreign + _stray(log, paired.get(number, []))
    for number, numbers in paired.items():
        if number in subscribers:
            result.not_attempted += sum(publishers[p].not_attempted for p in numbers if p in publishers)
    return result


def _stray(log: SubscriberLog, paired: list[int]) -> int:
    """Count what a subscriber received from publishers that it does not subscribe to."""
    stray = log.heard.difference(paired)
    return sum(log.due(p) - (len(log.irregular[p].missing) if p in log.irregular else 0) for p in stray)


def _classify_pair(
    result: LedgerResult, sender: PublisherLog, log: SubscriberLog, pair: tuple[int, int, int]
) -> WorstPair:
    """Add an irregular pair to the result by range arithmetic."""
    publisher, subscriber, qos = pair
    sent, top = sender.sent, log.due(publisher)
    stream = log.irregular.get(publisher)
    missing = stream.missing if stream else RangeSet()
    never = missing.clip(0, sent)
    never.add_range(min(top, sent), sent)
    duplicated = stream.duplicated.clip(0, sent) if stream else RangeSet()
    unacked = sender.unacknowledged() if sender.qos else RangeSet()
    delivered = sent - len(never)
    recovered = len(unacked - never - duplicated)
    result.expected += sent
    result.delivered += delivered
    result.duplicate += len(duplicated)
    result.recovered += recovered
    result.ok += delivered - len(duplicated) - recovered
    reordered = stream.reordered if stream else 0
    result.reordered += reordered
    if top > sent:
        result.unexpected += top - sent - len(missing.clip(sent, top))
    lost = unsettled = 0
    broken = RangeSet()
    if min(qos, sender.qos) == 0:
        result.indeterminate += len(never)
        result.indeterminate_qos0 += len(never)
    else:
        promised = never - unacked
        broken = promised - _excused(log, publisher, sent)
        lost, unsettled = (len(broken), 0) if result.settled else (0, len(broken))
        result.lost += lost
        result.unsettled += unsettled
        result.session_gap += len(promised) - len(broken)
        result.indeterminate += len(never) - lost
    ranges = [pair for _, pair in zip(range(_WORST), broken.ranges(), strict=False)]
    return WorstPair(lost, unsettled, len(duplicated), reordered, publisher, subscriber, ranges)


def _excused(log: SubscriberLog, publisher: int, sent: int) -> RangeSet:
    """Give the sequence numbers sent while the broker had no session of the subscriber, as far as can be known."""
    stream = log.irregular.get(publisher)
    excused = stream.excused.copy() if stream else RangeSet()
    if stream and stream.parked >= 0:
        excused.add_range(stream.parked, sent)
    elif log.absent and log.due(publisher) == 0:
        excused.add_range(0, sent)
    return excused
