"""Where the coordinator puts what exporters show: replaced once a second, read from any thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.live.totals import MOST_GROUPS, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.live.state import LiveState


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a run before it begins."""

    scenario: str
    version: str
    """loadgen's own."""
    stages: tuple[tuple[str, str], ...]
    """Name and kind of each, in order."""
    groups: Mapping[str, int]
    """Clients by group."""
    send_lag_limit: float
    """Seconds, as the next."""
    loop_lag_limit: float

    @property
    def shown_groups(self) -> tuple[str, ...]:
        """The groups that counters and histograms tell apart."""
        return tuple(self.groups)[:MOST_GROUPS]


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker uses."""

    cpu_seconds: float
    """CPU time since its process began."""
    rss: float
    """Resident memory now, bytes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A run at one moment; nothing in it is ever changed."""

    totals: Totals = field(default_factory=Totals)
    state: LiveState | None = None
    """None before the first second is over."""
    gauges: Mapping[str, float] = field(default_factory=dict)
    """Latest gauges of the workers, summed: `connected|sensors`, `connected_node|127.0.0.1:8883` …"""
    workers: Mapping[int, Worker] = field(default_factory=dict)
    faults: tuple[tuple[str, str, bool], ...] = ()
    """Name, kind, and whether its window is open, of every fault so far and to come."""
    result: Mapping[str, Any] | None = None
    """`result.json`, when the run has ended."""


class Board:
    """Holds the latest `Moment` of a run; replacing a reference is atomic, so there is no lock."""

    def __init__(self, subject: Subject) -> None:
        """Show nothing but the subject yet."""
        self.subject = subject
        self.moment = Moment()
