"""The embedded broker's process: TLS connections on one side, its parent's pipes on the other.

Standard input is the lifeline and the question line: it closes when the parent is gone, and `report` on it
is answered by one line of JSON on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
import sys
from typing import TYPE_CHECKING, Any, cast

import mqtt5
import uvloop
from cryptography import x509
from mqtt5 import DisconnectReasonCode

from loadgen.broker.embedded_core import PACKET_BYTES, TOPIC_ALIASES, Core, Violation
from loadgen.identity.subject import common_name, rabbitmq_subject

if TYPE_CHECKING:
    from loadgen.broker.embedded_session import Session

CONNECT_TIMEOUT_S = 10.0
"""A connection without CONNECT is closed after this time, as RabbitMQ does (`mqtt.login_timeout`)."""
CLOGGED_BYTES = 16_777_216
"""A client with this much unread gets no further QoS 0 messages until it reads."""


class Connection(asyncio.Protocol):
    """One client's TLS connection: cuts bytes into packets and hands them to the core."""

    def __init__(self, server: Server) -> None:
        """Belong to `server`; the connection is not made yet."""
        self._server = server
        self._rest = b""
        self._out: list[bytes] = []
        self._closing = False
        self._aliases: dict[int, str] = {}
        self._session: Session | None = None
        self.clogged = False
        self.keep_alive_s = 0.0
        self.seen = server.now()
        self.facts: dict[str, Any] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read from the handshake who the client is."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True)
        assert der is not None  # CERT_REQUIRED: no handshake ends without one
        subject = x509.load_der_x509_certificate(der).subject
        peer = transport.get_extra_info("peername")
        cipher = tls.cipher()
        self.facts = {
            "name": f"{peer[0]}:{peer[1]}",
            "user": common_name(subject),
            "peer_cert_subject": rabbitmq_subject(subject),
            "ssl": True,
            "ssl_protocol": tls.version(),
            "ssl_cipher": cipher[0] if cipher else "",
            "node": "embedded",
        }

    def data_received(self, data: bytes) -> None:
        """Handle every whole packet and keep what is left of the last."""
        self.seen = self._server.now()
        buffer = self._rest + data if self._rest else data
        view = memoryview(buffer)
        position = 0
        try:
            while position < len(view) and not self._closing:
                packet, size = mqtt5.read(view[position:])
                position += size
                self._handle(packet)
        except IndexError:  # not enough bytes for a packet
            if len(view) - position > PACKET_BYTES:
                self._end(DisconnectReasonCode.PACKET_TOO_LARGE)
        except Violation as violation:
            self._end(violation.reason)
        except ValueError:  # not MQTT 5
            self._end(DisconnectReasonCode.MALFORMED_PACKET)
        self._rest = bytes(view[position:])

    def _handle(self, packet: mqtt5.Packet) -> None:
        core, session = self._server.core, self._session
        if session is None:
            if not isinstance(packet, mqtt5.ConnectPacket):
                raise Violation(DisconnectReasonCode.PROTOCOL_ERROR)
            self.keep_alive_s = float(packet.keep_alive)
            self._session = session = core.connect(self, packet)
            if session is not None:
                self.facts |= {
                    "protocol": "MQTT 5-0",
                    "timeout": packet.keep_alive,
                    "client_properties": {
                        "client_id": session.client_id,
                        "user_property": [list(pair) for pair in packet.user_properties],
                    },
                }
        elif isinstance(packet, mqtt5.PublishPacket):
            core.publish(self, packet if packet.topic_alias is None else self._resolve(packet))
        elif isinstance(packet, mqtt5.PubAckPacket):
            core.acknowledged(session, packet)
        elif isinstance(packet, mqtt5.PingReqPacket):
            self.send(mqtt5.PingRespPacket().write())
        elif isinstance(packet, mqtt5.SubscribePacket):
            core.subscribe(session, self, packet)
        elif isinstance(packet, mqtt5.UnsubscribePacket):
            core.unsubscribe(session, self, packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            core.disconnect(session, self, packet)
        else:
            raise Violation(DisconnectReasonCode.PROTOCOL_ERROR)

    def _resolve(self, packet: mqtt5.PublishPacket) -> mqtt5.PublishPacket:
        """Put the topic that an alias stands for into the packet, and learn new aliases [MQTT-3.3.2-8]."""
        alias = packet.topic_alias
        assert alias is not None
        if not 1 <= alias <= TOPIC_ALIASES:
            raise Violation(DisconnectReasonCode.TOPIC_ALIAS_INVALID)
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias not in self._aliases:
            raise Violation(DisconnectReasonCode.PROTOCOL_ERROR)
        return mqtt5.PublishPacket(
            self._aliases[alias],
            packet.payload,
            qos=packet.qos,
            retain=packet.retain,
            packet_id=packet.packet_id,
            payload_format_indicator=packet.payload_format_indicator,
            message_expiry_interval=packet.message_expiry_interval,
            content_type=packet.content_type,
            response_topic=packet.response_topic,
            correlation_data=packet.correlation_data,
            user_properties=packet.user_properties,
        )

    def send(self, data: bytes) -> None:
        """Queue bytes; all that is queued in one turn of the loop leaves as one TLS record."""
        if not self._out:
            self._server.flush_later(self)
        self._out.append(data)

    def flush(self) -> None:
        """Write what is queued, and close when that was asked for."""
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
            self.clogged = self._transport.get_write_buffer_size() > CLOGGED_BYTES
        self._out.clear()
        if self._closing:
            self._transport.close()

    def close(self) -> None:
        """Close after what is queued; packets that still come in are not looked at."""
        if not self._closing:
            self._closing = True
            self._server.flush_later(self)

    def _end(self, reason: DisconnectReasonCode) -> None:
        if self._session is not None:
            self.send(mqtt5.DisconnectPacket(reason_code=reason).write())
            self._server.core.lost(self._session, self)
        self.close()

    def check(self, now: float) -> None:
        """Close the connection when its keep-alive [MQTT-3.1.2-22] or the time for CONNECT is over."""
        if self._session is None:
            if now - self.seen > CONNECT_TIMEOUT_S:
                self.close()
        elif self.keep_alive_s and now - self.seen > 1.5 * self.keep_alive_s:
            self._end(DisconnectReasonCode.KEEP_ALIVE_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it was lost changes nothing)
        """Tell the core that the client is gone."""
        self._server.connections.discard(self)
        if self._session is not None:
            self._server.core.lost(self._session, self)


class Server:
    """The listener, the clock and the answers to the parent."""

    def __init__(self, max_connections: int) -> None:
        """Prepare; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.core = Core(self.now, max_connections)
        self.connections: set[Connection] = set()
        self._unflushed: list[Connection] = []

    def flush_later(self, connection: Connection) -> None:
        """Let `connection` write at the end of this turn of the loop."""
        if not self._unflushed:
            self._loop.call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        ready, self._unflushed = self._unflushed, []
        for connection in ready:
            connection.flush()

    async def tick(self) -> None:
        """Once a second: keep-alives and session expiries."""
        while True:
            await asyncio.sleep(1.0)
            now = self.now()
            for connection in tuple(self.connections):
                connection.check(now)
            self.core.expire()

    def report(self) -> dict[str, Any]:
        """Say what the broker sees: counters, and each MQTT connection in the words of RabbitMQ's API."""
        sessions = self.core.sessions.values()
        return {
            "received": self.core.received,
            "unroutable": self.core.unroutable,
            "dropped_qos0": self.core.dropped + sum(session.dropped for session in sessions),
            "sessions": len(self.core.sessions),
            "connections": [c.facts for c in self.connections if "protocol" in c.facts],
        }


def _context(settings: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings["certificate"], settings["key"])
    context.load_verify_locations(settings["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    # RabbitMQ resumes no TLS session, so neither do we: every reconnect costs a full handshake.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


async def serve(settings: dict[str, Any]) -> None:
    """Listen, say the port on standard output, and answer the parent until it is gone.

    Args:
        settings: `host`, `port`, `certificate`, `key`, `ca` (paths) and `max_connections`.
    """
    loop = asyncio.get_running_loop()
    server = Server(settings["max_connections"])
    listener = await loop.create_server(
        lambda: Connection(server),
        settings["host"],
        settings["port"],
        ssl=_context(settings),
        ssl_handshake_timeout=CONNECT_TIMEOUT_S,
        ssl_shutdown_timeout=1.0,
        backlog=4096,
    )
    ticker = asyncio.create_task(server.tick())
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    _say({"port": listener.sockets[0].getsockname()[1]})
    while (await questions.readline()).strip() == b"report":
        _say(server.report())
    ticker.cancel()
    os._exit(0)  # the parent is gone or done: nobody waits for a farewell


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(settings: str) -> None:
    """Run the broker until the parent's end of standard input closes.

    Args:
        settings: JSON of what `serve` takes.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(serve(json.loads(settings)))
    except (OSError, ssl.SSLError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
