"""What each publisher sent and each subscriber received, kept as sequence ranges (docs/architecture.md).

A publisher is one stream of messages numbered from 0, with an id that is unique in the run; both stand in the
header of every payload. A log costs memory for each gap, never for each message.
"""

from __future__ import annotations

from typing import Any

from loadgen.metrics.ranges import RangeSet

IN_ORDER = 0
"""The message that was due next."""
AHEAD = 1
"""New, and some before it have not arrived (yet)."""
REORDERED = 2
"""New, and a later one arrived before it [MQTT-4.6.0-6]."""
DUPLICATE = 3
"""This subscriber had it already."""


class PublisherLog:
    """What one publisher sent and what of it was acknowledged."""

    __slots__ = ("_beyond", "acked_upto", "not_attempted", "qos", "sent")

    def __init__(self, qos: int) -> None:
        """Start with nothing sent, at QoS 0 or 1."""
        self.qos = qos
        self.sent = 0
        """How many were sent, so the next sequence number: `seq = log.sent; log.sent = seq + 1`."""
        self.acked_upto = 0
        """Every sequence number below this one is acknowledged."""
        self.not_attempted = 0
        """Messages that were due and never sent (backlog full, offline); they take no sequence number."""
        self._beyond: RangeSet | None = None  # acknowledged out of order

    def ack(self, seq: int) -> None:
        """Note a PUBACK with success; a refused message (0x10, or 0x80 and above) is never acknowledged."""
        if seq == self.acked_upto:
            self.acked_upto = seq + 1
            if self._beyond is not None:
                self._close_gap(self._beyond)
        elif seq > self.acked_upto:
            if self._beyond is None:
                self._beyond = RangeSet()
            self._beyond.add(seq)

    def _close_gap(self, beyond: RangeSet) -> None:
        start, stop = next(beyond.ranges())
        if start == self.acked_upto:
            self.acked_upto = stop
            self._beyond = (beyond - RangeSet([(start, stop)])) or None

    @property
    def acknowledged(self) -> int:
        """How many messages are acknowledged."""
        return self.acked_upto + len(self._beyond or ())

    def unacknowledged(self) -> RangeSet:
        """Give the sequence numbers sent and not acknowledged; all of them at QoS 0."""
        return (self._beyond or RangeSet()).complement(self.acked_upto, self.sent)

    def to_wire(self) -> list[Any]:
        """Flatten for JSON or a pipe."""
        return [
            self.qos,
            self.sent,
            self.acked_upto,
            self.not_attempted,
            (self._beyond or RangeSet()).to_list(),
        ]

    @classmethod
    def from_wire(cls, wire: list[Any]) -> PublisherLog:
        """Read what `to_wire` wrote."""
        log = cls(wire[0])
        _, log.sent, log.acked_upto, log.not_attempted = wire[:4]
        log._beyond = RangeSet.from_list(wire[4]) or None
        return log


class Irregular:
    """What did not go by the book between one publisher and one subscriber."""

    __slots__ = ("duplicated", "excused", "missing", "parked", "reordered")

    def __init__(self) -> None:
        """Start with nothing wrong."""
        self.missing = RangeSet()
        """Not received, though a later one was."""
        self.duplicated = RangeSet()
        """Received more than once."""
        self.excused = RangeSet()
        """Sent while the broker had no session of this subscriber: never promised."""
        self.reordered = 0
        """Messages received after a later one."""
        self.parked = -1
        """The number due next when the session was lost, until the publisher is heard again; else -1."""


class SubscriberLog:
    """What one subscribing client received, from every publisher."""

    __slots__ = ("_next", "absent", "duplicates", "foreign", "irregular", "reordered")

    def __init__(self) -> None:
        """Start with nothing received."""
        self._next: dict[int, int] = {}
        self.irregular: dict[int, Irregular] = {}
        """Publishers with gaps, duplicates or reordering, by id."""
        self.absent = False
        """Publishers not heard yet may have sent before this subscriber was there."""
        self.duplicates = 0
        """Messages received again, every copy counted."""
        self.reordered = 0
        """Messages received after a later one of the same publisher."""
        self.foreign = 0
        """Messages received without a header of this run; the engine adds to it."""

    def receive(self, publisher: int, seq: int) -> int:
        """Note a received message; gives `IN_ORDER`, `AHEAD`, `REORDERED` or `DUPLICATE`."""
        due = self._next
        try:
            if due[publisher] == seq:
                due[publisher] = seq + 1
                return 0
        except KeyError:
            return self._first(publisher, seq)
        if seq < due[publisher]:
            return self._earlier(publisher, seq)
        self._irregular(publisher).missing.add_range(due[publisher], seq)
        due[publisher] = seq + 1
        return AHEAD

    def _first(self, publisher: int, seq: int) -> int:
        """Take the first message of a publisher, or its first since the session was lost."""
        stream = self.irregular.get(publisher)
        parked = stream.parked if stream else -1
        due = max(parked, 0)
        if seq < due:
            return self._earlier(publisher, seq)
        self._next[publisher] = seq + 1
        if stream:
            stream.parked = -1
        if seq == due:
            return IN_ORDER
        stream = self._irregular(publisher)
        stream.missing.add_range(due, seq)
        if parked >= 0 or self.absent:
            stream.excused.add_range(due, seq)
        return AHEAD

    def _earlier(self, publisher: int, seq: int) -> int:
        stream = self._irregular(publisher)
        if stream.missing.discard(seq):
            stream.reordered += 1
            self.reordered += 1
            return REORDERED
        stream.duplicated.add(seq)
        self.duplicates += 1
        return DUPLICATE

    def _irregular(self, publisher: int) -> Irregular:
        stream = self.irregular.get(publisher)
        if stream is None:
            stream = self.irregular[publisher] = Irregular()
        return stream

    def late_start(self) -> None:
        """Note that publishers may have sent before this client subscribed: what came before is excused."""
        self.absent = True

    def session_lost(self, *, promised: bool = False) -> None:
        """Note that the broker gave up this client's session, so that it must subscribe again.

        What a publisher sent between its last message received before and its first one after is excused: a
        broker promises nothing to a session that is not there. A gap from before stays one: within a session
        order is kept.

        Args:
            promised: The session should have outlived the connection (its expiry had not passed). Then the
                broker broke a promise, and nothing is excused.
        """
        if promised:
            return
        self.absent = True
        for publisher, due in self._next.items():
            self._irregular(publisher).parked = due
        self._next.clear()

    def due(self, publisher: int) -> int:
        """Give the sequence number after the highest received from a publisher; 0 when it was never heard."""
        due = self._next.get(publisher, -1)
        if due >= 0:
            return due
        stream = self.irregular.get(publisher)
        return max(stream.parked, 0) if stream else 0

    def has(self, publisher: int, seq: int) -> bool:
        """Whether a message was received already."""
        return seq < self.due(publisher) and not self.missing(publisher).count(seq, seq + 1)

    def missing(self, publisher: int) -> RangeSet:
        """Give the sequence numbers below `due` that were not received."""
        stream = self.irregular.get(publisher)
        return stream.missing if stream else RangeSet()

    @property
    def heard(self) -> set[int]:
        """The publishers from which anything was received."""
        return self._next.keys() | self.irregular.keys()

    @property
    def unique(self) -> int:
        """How many different messages were received; O(publishers)."""
        return sum(self.due(publisher) - len(self.missing(publisher)) for publisher in self.heard)

    def to_wire(self) -> list[Any]:
        """Flatten for JSON or a pipe."""
        odd = [
            [p, s.parked, s.reordered, s.missing.to_list(), s.duplicated.to_list(), s.excused.to_list()]
            for p, s in self.irregular.items()
        ]
        counts = [self.duplicates, self.reordered, self.foreign, int(self.absent)]
        return [list(self._next.keys()), list(self._next.values()), odd, counts]

    @classmethod
    def from_wire(cls, wire: list[Any]) -> SubscriberLog:
        """Read what `to_wire` wrote."""
        log = cls()
        publishers, dues, odd, (log.duplicates, log.reordered, log.foreign, absent) = wire
        log.absent = bool(absent)
        log._next = dict(zip(publishers, dues, strict=True))
        for publisher, parked, reordered, missing, duplicated, excused in odd:
            stream = log.irregular[publisher] = Irregular()
            stream.parked, stream.reordered = parked, reordered
            stream.missing = RangeSet.from_list(missing)
            stream.duplicated = RangeSet.from_list(duplicated)
            stream.excused = RangeSet.from_list(excused)
        return log
