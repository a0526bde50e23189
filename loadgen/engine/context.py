"""What all clients of a shard share: the loop, the TLS context, the counts, the event log."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.engine.bookkeeping import StageBooks
from loadgen.engine.outage_log import OutageLog
from loadgen.engine.phase import Phase
from loadgen.engine.turns import Turns
from loadgen.errors import TargetError
from loadgen.identity.tls import IdentityContexts

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from loadgen.engine.client_state import ClientState
    from loadgen.identity.identity import Identity
    from loadgen.plan.settings import TargetSettings

_MOST_EVENTS = 5_000  # an interval; what is beyond is counted, so that a storm cannot fill the disk


class Counts:
    """What is under way and what arrived, over all clients of the shard: what tells when a drain is done."""

    __slots__ = ("backlog", "expected", "inflight", "unique")

    def __init__(self) -> None:
        """Start with nothing under way."""
        self.inflight = 0
        """QoS 1 publishes sent and not acknowledged."""
        self.backlog = 0
        """Publishes held back by clients whose connection does not take them."""
        self.expected = 0
        """Deliveries that the messages sent so far should give."""
        self.unique = 0
        """Deliveries so far, duplicates not counted."""


class FleetContext:
    """See the module's docstring; one per shard."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: TargetSettings,
        run_id: int,
        seed: int,
        worker: int = 0,
    ) -> None:
        """Make the one TLS context; `resolve` must follow before any client connects."""
        self.loop = loop
        self.target = target
        self.run_id = run_id
        self.seed = seed
        self.publishing = False
        """True from the first hold stage on."""
        self.churning = False
        """True from the first hold stage on, until a drain: clients with a lifetime leave and come back."""
        self.stopping = False
        self.recording = True
        """Whether the present stage is recorded: for what has no intended time, such as connections."""
        self.books = StageBooks(worker)
        """Where operations with an intended time are recorded."""
        self.phases: Counter[tuple[str, Phase]] = Counter()
        """(group, phase) → clients."""
        self.connected_by_node: Counter[int] = Counter()
        self.on_settled: Callable[[ClientState], None] | None = None
        """Called when a client has become ready or failed."""
        self.events: list[dict[str, Any]] = []
        self.events_dropped = 0
        self.outages = OutageLog()
        self.node_names = target.node_names
        self._noted: set[str] = set()
        self._addresses: list[tuple[tuple[str, int], ...]] = []
        self.counts = Counts()
        self.turns = Turns(loop)
        """Where the steps of TLS handshakes wait, so that they do not hold up messages and timers."""
        self._tls = IdentityContexts(_ca(target), target.tls)

    async def resolve(self) -> None:
        """Look every node's name up once, so that thousands of connects do not.

        Raises:
            TargetError: a name cannot be resolved.
        """
        self._addresses = []
        for number, node in enumerate(self.target.nodes):
            host, port = self.target.via.get(number, node)
            try:
                found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise TargetError(f"cannot resolve {host!r}: {error}", "check target.uris") from error
            # A name may stand for several addresses (localhost: ::1 and 127.0.0.1), of which not all answer.
            hosts = dict.fromkeys(str(each[4][0]) for each in found)
            self._addresses.append(tuple((each, port) for each in hosts))

    def addresses(self, node: int) -> tuple[tuple[str, int], ...]:
        """The (address, port) pairs of node number `node`, in the order to try them; at least one."""
        return self._addresses[node]

    def make_tls(
        self, identity: Identity, node: int, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> ssl.SSLObject:
        """Wrap two buffers with the identity's certificate.

        Loading the pair and wrapping happen in one go, so that no other client gets in between.
        """
        name = self.target.server_name or self.target.nodes[node][0]
        return self._tls.for_identity(identity).wrap_bio(incoming, outgoing, server_hostname=name)

    def trust(self, ca: Path) -> None:
        """Check the brokers' certificates against another CA file from now on.

        Raises:
            ConfigError: the file cannot be used.
        """
        self._tls = IdentityContexts(ca, self.target.tls)

    # -- counts ----------------------------------------------------------------------------------

    def moved(self, client: ClientState, old: Phase, new: Phase) -> None:
        """A client went from one phase to another."""
        group = client.plan.group
        if old is not Phase.IDLE:
            self.phases[group, old] -= 1
        self.phases[group, new] += 1
        was = old in _CONNECTED
        now = new in _CONNECTED
        if was != now:
            self.connected_by_node[client.node] += 1 if now else -1

    def settled(self, client: ClientState) -> None:
        """A client is connected and subscribed, or gave up."""
        if self.on_settled is not None:
            self.on_settled(client)

    # -- events ----------------------------------------------------------------------------------

    def note(self, event: str, client: ClientState, **details: object) -> None:
        """Write down what happened to a client, unless this interval has too many events already."""
        if len(self.events) >= _MOST_EVENTS:
            self.events_dropped += 1
            return
        self.events.append(
            {
                "ns": monotonic_ns(),
                "event": event,
                "client_id": client.plan.client_id,
                "group": client.plan.group,
                "node": self.target.node_names[client.node],
                **details,
            }
        )

    def note_once(self, event: str, client: ClientState, **details: object) -> None:
        """As `note`, but only the first of its kind."""
        if event not in self._noted:
            self._noted.add(event)
            self.note(event, client, **details)


_CONNECTED = (Phase.SUBSCRIBING, Phase.READY, Phase.LEAVING)


def _ca(target: TargetSettings) -> Path | None:
    return Path(target.ca) if target.ca else None
