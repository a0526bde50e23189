"""What one client lived through when it lost its connection: a timeline from the last sign of life on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

OutageWire: TypeAlias = "tuple[Any, ...]"
"""An outage as it travels, see `Outage.to_wire`."""

MOST_ATTEMPTS = 50
"""Attempts kept of an outage, the latest ones; all are counted."""
SLOW_CONNACK = 10_000_000_000
"""A CONNACK that takes longer than this is counted as slow, ns: RabbitMQ may take 63 s or more."""

BACK = "ready"
"""The client was connected and subscribed again."""
GAVE_UP = "gave-up"
"""The client made no further attempt: out of attempts, refused for good, or told not to reconnect."""
RUN_OVER = "run-over"
"""The run ended first."""


class Attempt(NamedTuple):
    """One attempt to connect; times are monotonic ns."""

    node: str
    """`host:port` of the node."""
    started: int
    ended: int
    phase: str
    """What it waited for when it ended: `tcp`, `tls`, `connack`, `suback`; `ready` when it succeeded."""
    outcome: str
    """Why it ended, in the words of `connect_errors`; `ready` when it succeeded."""


@dataclass(slots=True)
class Outage:
    """One outage of one client: from the loss of a connection noticed until it is ready again.

    Times are monotonic ns; 0 is: not known, or not yet.
    """

    client: int
    """The client's number in the run; with `noticed` it names the outage."""
    client_id: str
    group: str
    node: str
    """`host:port` of the node that the connection was lost to."""
    cause: str
    """How it was noticed, in the words of `disconnect_codes`: `closed`, `reset`, `disconnect:0x8B` …"""
    last_sign: int
    """When the client last heard of the node."""
    noticed: int
    awaits_ack: bool = False
    """It publishes at QoS 1, so that a first acknowledgement is to be expected."""
    awaits_delivery: bool = False
    """It subscribes."""
    attempts: list[Attempt] = field(default_factory=list)
    """The last `MOST_ATTEMPTS` of them that have ended."""
    attempt_count: int = 0
    """Attempts begun."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """`phase:outcome` → how many attempts ended so, all counted."""
    waited: int = 0
    """Back-off before the attempts, added up, ns."""
    slow_connacks: int = 0
    """CONNACKs, of whatever code, and waits for one given up, that took longer than `SLOW_CONNACK`."""
    slowest_connack: int = 0
    """The longest wait for a CONNACK, answered or not, ns."""
    connack: int = 0
    """CONNACK with success, of the last attempt that had one."""
    session_present: bool | None = None
    suback: int = 0
    """The last SUBACK; 0 also when the session had the subscriptions."""
    ready: int = 0
    """Connected and subscribed again."""
    ready_node: str = ""
    """`host:port` of the node it is connected to since then."""
    first_ack: int = 0
    """The first PUBACK with success since the loss."""
    first_delivery: int = 0
    """The first message received since the loss."""
    ended: str = ""
    """`ready`, `gave-up`, `run-over`; empty while the client is away."""

    @property
    def complete(self) -> bool:
        """Whether nothing more is to come."""
        return (
            self.ended == BACK
            and (self.first_ack > 0 or not self.awaits_ack)
            and (self.first_delivery > 0 or not self.awaits_delivery)
        )

    def attempted(self, attempt: Attempt) -> None:
        """Note an attempt that has ended."""
        if len(self.attempts) == MOST_ATTEMPTS:
            del self.attempts[0]
        self.attempts.append(attempt)
        key = f"{attempt.phase}:{attempt.outcome}"
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def waited_for_connack(self, wait: int) -> None:
        """Note how long (ns) CONNECT was unanswered, whether a CONNACK ended it or we did."""
        self.slowest_connack = max(self.slowest_connack, wait)
        self.slow_connacks += wait > SLOW_CONNACK

    def to_wire(self) -> OutageWire:
        """Flatten to plain values, to travel while the client goes on with this one: thousands at a time."""
        return *_PLAIN(self), tuple(map(tuple, self.attempts)), dict(self.outcomes)

    @classmethod
    def from_wire(cls, wire: OutageWire) -> Outage:
        """Read what `to_wire` wrote."""
        made = cls(*wire[:7])
        for name, value in zip(_FIELDS[7:], wire[7:-2], strict=True):
            setattr(made, name, value)
        made.attempts = [Attempt(*each) for each in wire[-2]]
        made.outcomes = wire[-1]
        return made

    def to_event(self) -> dict[str, Any]:
        """The `outage` event of events.jsonl; `ns` is when the loss was noticed, unknown times are null."""
        times = ("last_sign", "noticed", "connack", "suback", "ready", "first_ack", "first_delivery")
        return {
            "ns": self.noticed,
            "event": "outage",
            "client_id": self.client_id,
            "group": self.group,
            "node": self.node,
            "cause": self.cause,
            **{name: getattr(self, name) or None for name in times},
            "session_present": self.session_present,
            "ready_node": self.ready_node or None,
            "ended": self.ended,
            "attempts": self.attempt_count,
            "backoff_ns": self.waited,
            "last_attempts": [each._asdict() for each in self.attempts],
        }


_FIELDS = tuple(each.name for each in fields(Outage) if each.name not in {"attempts", "outcomes"})
_PLAIN = attrgetter(*_FIELDS)


class OutageBook:
    """All outages of a run, as the workers tell of them: each is told again when more of it is known."""

    def __init__(self) -> None:
        """Start with none."""
        self._outages: dict[tuple[int, int], Outage] = {}
        self.given_up: set[int] = set()
        """Clients that are away and make no further attempt."""

    def add(self, outages: Iterable[OutageWire]) -> None:
        """Take what a worker reported; the latest word on an outage counts."""
        for wire in outages:
            each = Outage.from_wire(wire)
            self._outages[each.client, each.noticed] = each
            (self.given_up.add if each.ended == GAVE_UP else self.given_up.discard)(each.client)

    @property
    def outages(self) -> list[Outage]:
        """Every outage, in the order in which they were noticed."""
        return sorted(self._outages.values(), key=lambda each: (each.noticed, each.client))

    @property
    def away(self) -> int:
        """How many clients are away now, or at the end; who gave up stays away."""
        return sum(each.ended != BACK for each in self._outages.values())

    def __len__(self) -> int:
        """How many outages there are."""
        return len(self._outages)
