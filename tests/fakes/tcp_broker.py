"""A small MQTT 5 broker on loopback that misbehaves exactly as a test asks, and remembers what it saw."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mqtt5 import (
    ConnAckPacket,
    ConnAckReasonCode,
    ConnectPacket,
    DisconnectPacket,
    PublishPacket,
    QoS,
    SubscribePacket,
)

from tests.fakes.broker_connection import BrokerConnection
from tests.fakes.broker_sessions import BrokerSession, outgoing

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Callable
    from types import TracebackType

    Chosen = Callable[[int, PublishPacket], bool]
    """(number of the delivery since start, from 0; the message) → whether it is chosen."""


@dataclass(eq=False)
class FakeBroker:
    """An MQTT 5 broker with QoS 0 and 1, sessions, take-over real filters, wills and retained messages.

    `async with FakeBroker(drop=lambda n, message: n == 3) as broker: ... broker.port`
    """

    ssl: tls.SSLContext | None = None
    """Server context; with `verify_mode=CERT_REQUIRED` it is mutual TLS."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one; read it after entering."""
    drop: Chosen | None = None
    """Deliveries that never happen, although the publish was acknowledged."""
    duplicate: Chosen | None = None
    """Deliveries that happen twice."""
    reorder: Chosen | None = None
    """Deliveries that are held back until the next one to the same subscriber has gone."""
    silent: bool = False
    """Never answer CONNECT."""
    refuse: int | Callable[[int, ConnectPacket], int] = 0
    """CONNACK reason code for everyone, or per (number of the connect from 0, CONNECT); 0 accepts."""
    connack: dict[str, Any] = field(default_factory=dict)
    """Properties of a successful CONNACK, as `mqtt5.ConnAckPacket` names them."""
    connack_delay_s: float = 0.0
    puback: Callable[[int, PublishPacket], int | None] | None = None
    """(number of the publish from 0, PUBLISH) → PUBACK reason code; None never acknowledges."""
    puback_delay_s: float = 0.0
    suback: Callable[[str], int | None] | None = None
    """Filter → SUBACK reason code; None grants what was asked."""
    close_after: int | None = None
    """Break a connection, unacknowledged, at its n-th PUBLISH (from 1)."""
    pong: bool = True
    """Answer PINGREQ."""
    unmatched_code: int = 0x10
    """PUBACK reason code when no subscription takes the topic, as RabbitMQ gives it."""

    connects: list[ConnectPacket] = field(default_factory=list, init=False)
    publishes: list[PublishPacket] = field(default_factory=list, init=False)
    """Every PUBLISH received, in order, with copies that clients sent again."""
    subscribes: list[SubscribePacket] = field(default_factory=list, init=False)
    disconnects: list[DisconnectPacket] = field(default_factory=list, init=False)
    certificates: list[dict[str, Any]] = field(default_factory=list, init=False)
    """`getpeercert()` of every mutual TLS connection that sent CONNECT."""
    accepted: int = field(default=0, init=False)
    """TCP (or TLS) connections taken so far."""
    deliveries: int = field(default=0, init=False)
    """Deliveries decided on so far, dropped ones included."""
    acknowledgements: int = field(default=0, init=False)
    """PUBACKs received from subscribers."""
    pings: int = field(default=0, init=False)
    errors: list[str] = field(default_factory=list, init=False)
    """What clients did wrong."""
    retained: dict[str, PublishPacket] = field(default_factory=dict, init=False)
    """Topic → its retained message."""
    sessions: dict[str, BrokerSession] = field(default_factory=dict, init=False)
    connections: set[BrokerConnection] = field(default_factory=set, init=False)

    async def __aenter__(self) -> Self:
        self._changed = asyncio.Event()
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def connected(self) -> set[str]:
        """Client ids that are connected now."""
        return {one.session.client_id for one in self.connections if one.session is not None}

    async def listen(self) -> None:
        """Take connections, on the same port as before when there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: BrokerConnection(self), self.host, self.port, ssl=self.ssl, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no more connections and break those there are, as a killed broker does; sessions stay."""
        self._server.close()
        self.break_connections()
        await self.until(lambda: not self.connections)
        await self._server.wait_closed()

    def break_connections(self, reason: int | None = None) -> None:
        """Break every connection, with a DISCONNECT before it when a reason is given."""
        for connection in tuple(self.connections):
            connection.end(reason)

    async def until(self, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something holds; it is looked at whenever the broker has seen something.

        Raises:
            TimeoutError: it does not within the time.
        """
        async with asyncio.timeout(timeout_s):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def changed(self) -> None:
        """Wake those who wait in `until`."""
        self._changed.set()

    def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        """Publish from the broker itself, as a foreign client would."""
        self.route(outgoing(PublishPacket(topic, payload, retain=retain), qos, packet_id=1 if qos else None))

    def connection_of(self, client_id: str) -> BrokerConnection:
        """Give the connection of a client that is there."""
        return next(
            each
            for each in self.connections
            if each.session is not None and each.session.client_id == client_id
        )

    def release_held(self) -> None:
        """Deliver what `reorder` still holds back."""
        for session in self.sessions.values():
            while session.held:
                session.deliver(session.held.pop(0))

    def accept(self, connection: BrokerConnection, packet: ConnectPacket) -> None:
        """Answer a CONNECT."""
        number = len(self.connects)
        self.connects.append(packet)
        if self.silent or connection not in self.connections:
            return
        code = self.refuse if isinstance(self.refuse, int) else self.refuse(number, packet)
        if code:
            connection.write(ConnAckPacket(reason_code=ConnAckReasonCode(code)).write())
            connection.end(None)
            return
        client_id = packet.client_id or f"assigned-{number}"
        for other in tuple(self.connections):
            if other.session is not None and other.session.client_id == client_id:
                other.end(0x8E)  # session taken over
        session = self.sessions.get(client_id)
        present = session is not None and not packet.clean_start and session.expiry > 0
        if session is None or not present:
            session = self.sessions[client_id] = BrokerSession(client_id)
        session.window, session.expiry = packet.receive_max, packet.session_expiry_interval
        session.send = connection.write
        connection.will = packet.will
        connection.session = session
        answer: dict[str, Any] = {"session_present": present, **self.connack}
        if not packet.client_id:
            answer.setdefault("assigned_client_id", client_id)
        connection.write(ConnAckPacket(**answer).write())
        if present:
            session.resume()

    def forget(self, connection: BrokerConnection) -> None:
        """Note that a connection is gone, and end its session unless it is to be kept."""
        self.connections.discard(connection)
        session = connection.session
        will, connection.will = connection.will, None
        if will is not None:
            packet_id = 1 if will.qos == QoS.AT_LEAST_ONCE else None
            payload = will.payload or b""
            self.route(
                PublishPacket(will.topic, payload, qos=will.qos, retain=will.retain, packet_id=packet_id)
            )
        if session is not None and session.send == connection.write:
            session.send = None
            if session.expiry == 0 and self.sessions.get(session.client_id) is session:
                del self.sessions[session.client_id]
        self.changed()

    def route(self, message: PublishPacket, sender: BrokerSession | None = None) -> bool:
        """Deliver a message to every session that wants it; False when there is none."""
        wanted = False
        if message.retain:
            self.retained[message.topic] = message
        for session in tuple(self.sessions.values()):
            own = session is sender
            granted = session.granted(message.topic, own=own)
            if granted is None:
                continue
            wanted = True
            number = self.deliveries
            self.deliveries += 1
            if self.drop is not None and self.drop(number, message):
                continue
            qos = min(granted, int(message.qos))  # the codec's enums compare with no plain number but by ==
            copy = outgoing(session.addressed(message, own=own), qos, packet_id=1 if qos else None)
            if self.reorder is not None and self.reorder(number, message):
                session.held.append(copy)
                continue
            session.deliver(copy)
            if self.duplicate is not None and self.duplicate(number, message):
                session.deliver(copy)
            while session.held:
                session.deliver(session.held.pop(0))
        return wanted
