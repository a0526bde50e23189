"""The delivery ledger: what all publishers sent and all subscribers received (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.errors import WorkerError
from loadgen.metrics.classify import classify
from loadgen.metrics.delivery_log import AHEAD, DUPLICATE, IN_ORDER, REORDERED, PublisherLog, SubscriberLog
from loadgen.metrics.ledger_result import LedgerResult, WorstPair

if TYPE_CHECKING:
    from collections.abc import Mapping

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
