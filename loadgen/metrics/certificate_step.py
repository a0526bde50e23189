"""What became of a certificate step's clients: counts and times that add up over workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.summary import summarise

_COUNTS = ("to_come", "clients", "connected", "awaited", "reconnected", "resumed", "refused", "lost")


@dataclass(slots=True)
class StepTally:
    """One step on one worker, or the sum over all."""

    refusal_expected: bool = False
    """Whether the brokers are to refuse those who come back."""
    to_come: int = 0
    """Clients whose turn has not come, or that have not come back yet."""
    clients: int = 0
    """Clients whose turn has come."""
    connected: int = 0
    """Of these: connected then, or about to be."""
    awaited: int = 0
    """Of the clients: those that the step waits for to come back."""
    reconnected: int = 0
    """Ready again, with the certificate they have since the step."""
    resumed: int = 0
    """Of the reconnected: the broker still had their session."""
    refused: int = 0
    """Clients of which at least one attempt to come back failed."""
    failures: dict[str, int] = field(default_factory=dict)
    """Failed attempts by cause, such as `tls:sslv3_alert_certificate_expired`."""
    lost: int = 0
    """Connections that ended against our will before the client's turn to leave, or with no leave at all."""
    last_back: int = 0
    """When the last of them was ready again, monotonic ns; 0: none was."""
    times: list[int] = field(default_factory=list)
    """From leaving to CONNACK, ns."""

    def add(self, other: StepTally) -> None:
        """Add another worker's."""
        for name in (
            "to_come",
            "clients",
            "connected",
            "awaited",
            "reconnected",
            "resumed",
            "refused",
            "lost",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for cause, count in other.failures.items():
            self.failures[cause] = self.failures.get(cause, 0) + count
        self.last_back = max(self.last_back, other.last_back)
        self.times += other.times

    def count_failure(self, cause: str) -> None:
        """Count a failed attempt; what is wrong with a file names it, and a cause for each is no count."""
        word = "certificate" if cause.startswith("certificate:") else cause
        self.failures[word] = self.failures.get(word, 0) + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for result.json; durations in seconds."""
        histogram = Histogram()
        histogram.record_many(self.times)
        return {
            "clients": self.clients,
            "connected": self.connected,
            "awaited": self.awaited,
            "reconnected": self.reconnected,
            "sessions_present": self.resumed,
            "refused": self.refused,
            "failures": dict(sorted(self.failures.items())),
            "lost": self.lost,
            "reconnect": summarise(histogram),
        }
