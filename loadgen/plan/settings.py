"""What a shard needs to know besides its clients: plain values that travel to a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from loadgen.identity.tls import TlsOffer
from loadgen.plan.expectation import Expectation, expectation
from loadgen.plan.logins import login_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.identity.identity import Password
    from loadgen.identity.login import LoginRule
    from loadgen.scenario.model import Scenario

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How the clients of one group behave; durations in ns unless named otherwise."""

    name: str
    clients: int
    first: int
    """Number of the group's first client in the run."""
    clean_start: bool
    session_expiry: int
    """Seconds."""
    keep_alive: int
    """Seconds; 0 is off."""
    receive_maximum: int
    max_backlog: int
    """Messages a client may hold back while its connection does not take them."""
    lifetime: int | None
    """How long a client stays before it leaves as planned; None: to the end."""
    pause: int
    """How long it is away then."""
    reconnect: bool
    backoff_min: int
    backoff_max: int
    max_attempts: int | None
    reconnect_order: Literal["round-robin", "random", "in-order", "stick"] | None
    """Which node next after a loss or a failed attempt; None: the next of the client's own list."""
    jitter: Literal["full", "none"]
    """Whether a wait is by chance up to the doubled one, or exactly it."""
    resume: bool
    """Whether a reconnect asks for the session that the broker kept; else it begins with a clean start."""
    resend: bool
    """Whether unacknowledged publishes are sent again after a loss; else they are abandoned."""
    tcp_timeout: int
    tls_timeout: int
    connack_timeout: int
    expect: Expectation | None = None
    """How the brokers must answer its clients."""
    password: Password | None = None
    """Where the password for CONNECT is kept."""


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Where to connect and how; timeouts in ns."""

    nodes: tuple[tuple[str, int], ...]
    """(host, port) of each node."""
    ca: str | None
    tls: TlsOffer
    server_name: str | None
    sources: tuple[str, ...]
    """Addresses to connect from; empty: the system's choice."""
    tcp_timeout: int
    tls_timeout: int
    connack_timeout: int
    ping_timeout: int | None
    """None: half the keep-alive."""
    login: LoginRule
    """How the brokers name users: for what is said when they refuse one."""
    by_node: bool = False
    """Whether measurements are kept by node, too: a threshold asks for it, and it costs space and time."""
    via: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Node number → where to dial instead of the node: a proxy. TLS expects the node's name all the same."""

    @property
    def node_names(self) -> tuple[str, ...]:
        """`host:port` of each node, as in reports."""
        return tuple(f"{host}:{port}" for host, port in self.nodes)

    def source(self, client: int) -> str | None:
        """Address that a client connects from, by its number in the run; None: the system chooses."""
        return self.sources[source_of(client, len(self.nodes), len(self.sources))] if self.sources else None


def source_of(client: int, nodes: int, sources: int) -> int:
    """Which of the source addresses a client uses.

    The clients of each node take the addresses in turn. By the client's number alone, three nodes and three
    addresses would give each node one address, and not a port more than with none.
    """
    return client // nodes % sources


def group_settings(scenario: Scenario) -> dict[str, GroupSettings]:
    """The settings of every group, in the scenario's order."""
    settings: dict[str, GroupSettings] = {}
    timeouts = scenario.target.timeouts
    first = 0
    for name, group in scenario.groups.items():
        settings[name] = GroupSettings(
            name=name,
            clients=group.clients,
            first=first,
            clean_start=group.session.clean_start,
            session_expiry=group.session.expiry // _NANOSECONDS,
            keep_alive=group.keep_alive // _NANOSECONDS,
            receive_maximum=group.receive_maximum,
            max_backlog=group.max_backlog,
            lifetime=group.lifetime,
            pause=group.pause,
            reconnect=group.reconnect.enabled,
            backoff_min=group.reconnect.backoff.min,
            backoff_max=group.reconnect.backoff.max,
            max_attempts=group.reconnect.max_attempts,
            reconnect_order=group.reconnect.order,
            jitter=group.reconnect.jitter,
            resume=group.reconnect.resume,
            resend=group.reconnect.resend,
            tcp_timeout=group.reconnect.tcp_timeout or timeouts.tcp,
            tls_timeout=group.reconnect.tls_timeout or timeouts.tls,
            connack_timeout=group.reconnect.connack_timeout or timeouts.connack,
            expect=expectation(group.expect) if group.expect is not None else None,
            password=group.password,
        )
        first += group.clients
    return settings


def target_settings(scenario: Scenario) -> TargetSettings:
    """The settings of the scenario's target."""
    target = scenario.target
    return TargetSettings(
        nodes=tuple((uri.host, uri.port) for uri in target.uris),
        ca=target.tls.ca,
        tls=TlsOffer(target.tls.versions, target.tls.ciphers, target.tls.group, target.tls.insecure),
        server_name=target.tls.server_name,
        sources=target.sources,
        tcp_timeout=target.timeouts.tcp,
        tls_timeout=target.timeouts.tls,
        connack_timeout=target.timeouts.connack,
        ping_timeout=target.timeouts.ping,
        login=login_rule(target),
        by_node=any("node" in spec.selector for spec in scenario.parsed_thresholds()),
    )
