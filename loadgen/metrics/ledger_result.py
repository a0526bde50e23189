"""What the delivery ledger comes to: how many messages ended in each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class WorstPair:
    """A publisher and a subscriber between which messages went astray; sorted by how bad it was."""

    lost: int
    unsettled: int
    duplicate: int
    reordered: int
    publisher: int
    subscriber: int
    missing: list[tuple[int, int]] = field(compare=False)
    """The first ranges `[start, stop)` of sequence numbers acknowledged, promised and never delivered."""


@dataclass(slots=True)
class LedgerResult:
    """How many sequence numbers ended in each class, summed over all pairs of publisher and subscriber."""

    ok: int = 0
    """Acknowledged (or sent at QoS 0) and delivered once."""
    duplicate: int = 0
    """Sent and delivered more than once."""
    lost: int = 0
    """Acknowledged, promised to this subscriber, and never delivered: the broker broke its promise."""
    recovered: int = 0
    """Sent, not acknowledged, delivered once."""
    indeterminate: int = 0
    """Sent, never delivered, and no promise broken; the next four say why, the rest was not acknowledged."""
    indeterminate_qos0: int = 0
    """Of the indeterminate: the effective QoS is 0, which promises nothing."""
    session_gap: int = 0
    """Of the indeterminate: acknowledged while the broker had no session of the subscriber."""
    expired: int = 0
    """Of the indeterminate: acknowledged, with a message expiry that was shorter than the run."""
    unsettled: int = 0
    """Of the indeterminate: acknowledged, and the run ended before the drain stage did."""
    unexpected: int = 0
    """Delivered, and never sent by its publisher, or not meant for this subscriber, or without our header."""
    reordered: int = 0
    """Delivered after a later message of the same publisher; these are in another class as well."""
    not_attempted: int = 0
    """Due by the plan and never sent: dropped by the generator, or their client was away as planned."""
    expected: int = 0
    """Sent messages times matching subscribers: the sum of ok, duplicate, lost, recovered, indeterminate."""
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
