"""One real connection to each node before the run: finds what is wrong with the target while it is cheap."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from loadgen.diagnosis import Diagnosis, diagnose
from loadgen.engine.dialing import dial_from
from loadgen.engine.transport import Connection, cause_of
from loadgen.errors import Problem, TargetError
from loadgen.identity.tls import IdentityContexts
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import BrokenRuleError, Connected, Refused
from loadgen.mqtt.session import Session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from loadgen.places import Places
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings, TargetSettings

CONNACK_LIMIT_S = 10.0
"""A healthy cluster answers at once, and a refusal takes RabbitMQ 3 s."""


_FIRST_BYTES = (0x20, 0xE0, 0xF0)
"""How an answer to CONNECT may begin: CONNACK, DISCONNECT, AUTH [MQTT-5 2.1.2]."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one connection went."""

    phase: str
    """Where it ended: tcp, tls, connack, or ready."""
    cause: str = ""
    """As `loadgen.engine.transport.cause_of`, or `refused:0x86`, or `not-mqtt`; empty when ready."""
    seconds: float = 0.0
    """From connect() to CONNACK, when ready."""


class _Probe:
    """Owner of one connection that only wants a CONNACK."""

    def __init__(self, session: Session, connack_timeout: float) -> None:
        self.session = session
        self.phase = "tcp"
        self.done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.connection: Connection | None = None
        self._connack_timeout = connack_timeout
        self._heard = False
        self._begun = monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, phase: str, timeout: float) -> None:
        """Begin a phase that may take `timeout` seconds."""
        self.phase = phase
        self.cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(timeout, self._finish, Outcome(phase, "timeout"))

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _finish(self, outcome: Outcome) -> None:
        self.cancel_timer()
        if not self.done.done():
            self.done.set_result(outcome)

    def secured(self) -> None:
        self.enter("connack", self._connack_timeout)
        self.session.connect()
        assert self.connection is not None
        self.connection.send(self.session.take())

    def received(self, data: bytes) -> None:
        if not self._heard and data[0] not in _FIRST_BYTES:
            # Another protocol's greeting may look like the beginning of a long packet, and be waited for.
            self._finish(Outcome("connack", "not-mqtt"))
            return
        self._heard = True
        try:
            events = self.session.receive(data)
        except BrokenRuleError:
            self._finish(Outcome("connack", "not-mqtt"))
            return
        for event in events:
            if isinstance(event, Connected):
                self._finish(Outcome("ready", seconds=monotonic() - self._begun))
            elif isinstance(event, Refused):
                self._finish(Outcome("connack", f"refused:0x{event.reason:02X}"))

    def writable_again(self) -> None:
        """Nothing waits here."""

    def lost(self, cause: str) -> None:
        self._finish(Outcome(self.phase, cause))


async def probe(
    target: TargetSettings, node: int, client: ClientPlan, group: GroupSettings, contexts: IdentityContexts
) -> Outcome:
    """Connect as `client` to node number `node`, wait for CONNACK, disconnect.

    A clean start leaves no session behind; a session that the run means to find again is left as it is.
    """
    session = Session(
        SessionConfig(
            client_id=client.client_id,
            clean_start=group.clean_start,
            session_expiry=0 if group.clean_start else group.session_expiry,
            keep_alive=group.keep_alive,
            user_properties=client.user_properties,
            username=client.username,
            password=None if group.password is None else group.password.reveal().encode(),
        )
    )
    owner = _Probe(session, min(target.connack_timeout / 1e9, CONNACK_LIMIT_S))
    host, port = target.nodes[node]

    def make_tls(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        owner.enter("tls", target.tls_timeout / 1e9)
        return contexts.for_identity(client.identity).wrap_bio(
            incoming, outgoing, server_hostname=target.server_name or host
        )

    connection = owner.connection = Connection(owner, make_tls)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(target.tcp_timeout / 1e9):
            if (source := target.source(client.number)) is None:
                await loop.create_connection(lambda: connection, host, port)
            else:
                await dial_from(loop, connection, source, host, port)
    except (OSError, TimeoutError) as error:
        connection.abort(cause_of(error))
    try:
        outcome = await owner.done
    finally:
        owner.cancel_timer()
        if owner.done.done() and owner.done.result().phase == "ready":
            session.disconnect()
            connection.send(session.take())
        connection.close()
    return outcome


async def probe_nodes(
    target: TargetSettings, clients: Sequence[ClientPlan], groups: Mapping[str, GroupSettings]
) -> dict[int, tuple[ClientPlan, Outcome]]:
    """Connect once to every node that clients are planned for, each with its first client, all at once.

    Clients of groups with `expect` are left out: what the brokers answer them is a result of the run.

    Raises:
        ConfigError: the CA file cannot be used.
    """
    contexts = IdentityContexts(Path(target.ca) if target.ca else None, target.tls)
    chosen: dict[int, ClientPlan] = {}
    for client in clients:
        if groups[client.group].expect is None:
            chosen.setdefault(client.nodes[0], client)
        if len(chosen) == len(target.nodes):
            break
    outcomes = await asyncio.gather(
        *(probe(target, node, client, groups[client.group], contexts) for node, client in chosen.items())
    )
    found = zip(chosen.items(), outcomes, strict=True)
    return {node: (client, outcome) for (node, client), outcome in sorted(found, key=lambda each: each[0][0])}


async def check_target(
    target: TargetSettings,
    clients: Sequence[ClientPlan],
    groups: Mapping[str, GroupSettings],
    places: Places | None = None,
) -> None:
    """Connect once to every node, each with the first client that is planned for it.

    Raises:
        TargetError: some node cannot be used; a problem for each cause, with its nodes, place and mend.
        ConfigError: the CA file cannot be used.
    """
    outcomes = await probe_nodes(target, clients, groups)
    told: dict[tuple[str, str], tuple[Diagnosis, list[str]]] = {}
    for node, (client, outcome) in outcomes.items():
        if outcome.phase == "ready":
            continue
        found = diagnose(target, node, client, phase=outcome.phase, cause=outcome.cause, places=places)
        # Each node was asked by a client of its own; that alone makes no cause of its own.
        anonymous = found.what.replace(repr(client.client_id), "").replace(repr(client.identity.cn), "")
        told.setdefault((found.key, anonymous), (found, []))[1].append(target.node_names[node])
    if told:
        raise TargetError(
            [
                Problem(
                    places.of(*found.key.split(".")) if places else found.key,
                    f"{', '.join(nodes)}: {found.what}",
                    found.mend,
                )
                for found, nodes in told.values()
            ]
        )
