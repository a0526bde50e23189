"""What coordinator and worker say to each other: plain values, the same in one process or in many.

coordinator → worker: Setup, Begin, StartStage, MarkPublishers, ChangeCertificates, Trust, Account …, Finish.
worker → coordinator: Ready, Progress, Report, Accounted …, Final or Failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from loadgen.engine.expecting import Answers
    from loadgen.metrics.certificate_step import StepTally
    from loadgen.metrics.outage import OutageWire
    from loadgen.metrics.packed import PackedSnapshot
    from loadgen.plan.certificate_changes import CertificateChange
    from loadgen.plan.plan import Shard


@dataclass(frozen=True, slots=True)
class Setup:
    """The shard to run."""

    shard: Shard
    run_id: int
    seed: int


@dataclass(frozen=True, slots=True)
class Begin:
    """The run's time zero, monotonic ns: interval k of every worker is [origin + k s, origin + (k+1) s)."""

    origin: int


@dataclass(frozen=True, slots=True)
class StartStage:
    """Enter a stage at an absolute time (monotonic ns), the same on every worker."""

    name: str
    kind: str
    at: int
    record: bool = True
    connect_rate: float | None = None
    """Clients per second over all workers."""
    groups: tuple[str, ...] = ()
    """Groups that connect in this stage."""


@dataclass(frozen=True, slots=True)
class MarkPublishers:
    """Note how far every publisher is: an edge of a fault's window in the ledger. Final has the notes."""

    number: int
    """The fault's number."""
    edge: Literal["open", "close"]


@dataclass(frozen=True, slots=True)
class ChangeCertificates:
    """A certificate step: give clients other certificates, each at its time."""

    step: int
    """Its number in the run; `Final.certificate_steps` counts by it."""
    changes: tuple[CertificateChange, ...]
    """Those of this worker's clients."""
    reconnect: bool = True
    """Whether a connected client leaves and comes back at once, or uses it when it connects next."""
    refusal_expected: bool = False
    """Whether the brokers are to refuse those who come back."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Check the brokers' certificates against another CA file from now on."""

    ca: str


@dataclass(frozen=True, slots=True)
class Account:
    """Answer with Accounted: what is known of each message so far."""

    number: int
    """Of the question."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Disconnect every client, then answer with Final."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The shard is set up: certificates readable, names resolved."""

    worker: int
    clients: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a worker is, a few times a second; the counts are since the run's start."""

    worker: int
    ready: int
    failed: int
    pending: int
    """Clients of the current connect stage that are neither ready nor failed."""
    inflight: int
    """Published at QoS 1 and not acknowledged yet."""
    backlog: int
    expected: int
    """Deliveries that the messages sent so far should give."""
    unique: int
    """Distinct (message, subscriber) deliveries so far."""
    stage: str
    """The stage the worker is in."""
    away: int = 0
    """Clients that were ready and are away against our will."""
    returning: dict[int, int] = field(default_factory=dict)
    """Certificate step → its clients that have not come back."""


@dataclass(frozen=True, slots=True)
class Report:
    """One interval's snapshot and the events in it."""

    snapshot: PackedSnapshot
    line: str
    """The snapshot as it goes to disk: written by the worker, so that the coordinator needs not."""
    events: list[dict[str, Any]] = field(default_factory=list)
    events_dropped: int = 0
    outages: list[OutageWire] = field(default_factory=list)
    """The outages that began, or of which more is known, since the last report (of a storm, some later).

    For `metrics.outage.OutageBook.add`."""


@dataclass(frozen=True, slots=True)
class Accounted:
    """The worker's part of the ledger at this moment."""

    worker: int
    number: int
    """Of the question that this answers."""
    publishers: dict[int, Any]
    """As in Final."""
    subscribers: dict[int, Any]
    """As in Final."""


@dataclass(frozen=True, slots=True)
class Final:
    """The worker's last word."""

    worker: int
    publishers: dict[int, Any]
    """Publisher number → PublisherLog in wire form."""
    subscribers: dict[int, Any]
    """Client number → SubscriberLog in wire form."""
    never_connected: int
    """Clients that should have been connected and never were."""
    cpu_seconds: float
    rss_peak: int
    """Bytes."""
    tls: tuple[str, str] | None
    """(version, cipher) of one connection."""
    away: int = 0
    """Clients that were ready once and were not back at the end, before the disconnecting."""
    marks: dict[int, dict[str, dict[int, int]]] = field(default_factory=dict)
    """Fault number → edge (`open`, `close`) → publisher number → the sequence number it was to send next."""
    refused: int = 0
    """Clients that were never connected, in groups that expect just that."""
    answers: Answers = field(default_factory=dict)
    """What the clients of groups with an `expect` got."""
    certificate_steps: dict[int, StepTally] = field(default_factory=dict)
    """By number of the step."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot go on."""

    worker: int
    what: str
    mend: str = ""
    exit_code: int = 107


Message = (
    Setup
    | Begin
    | StartStage
    | MarkPublishers
    | ChangeCertificates
    | Trust
    | Account
    | Finish
    | Ready
    | Progress
    | Report
    | Accounted
    | Final
    | Failed
)
