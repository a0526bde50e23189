"""One MQTT session as the embedded broker keeps it: what is on the way to a client, and what waits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from mqtt5 import PublishPacket, QoS

if TYPE_CHECKING:
    from mqtt5 import ConnectPacket, Will

QUEUE_LIMIT = 1_000_000
"""Messages that wait for one session at most; publishers of further ones get 0x97, as from RabbitMQ 4.3."""


class Link(Protocol):
    """A client's connection, as much of it as sessions and routing need."""

    clogged: bool
    """The client does not read: QoS 0 is dropped, as RabbitMQ does beyond `mqtt.mailbox_soft_limit`."""

    def send(self, data: bytes) -> None:
        """Queue bytes for the client."""

    def close(self) -> None:
        """Send what is queued, then close the connection."""


class Session:
    """Subscriptions and undelivered messages of one client id; with an expiry it outlives its connection."""

    __slots__ = (
        "client_id",
        "dropped",
        "expires_at",
        "expiry",
        "inflight",
        "link",
        "next_id",
        "queue",
        "subscriptions",
        "will",
        "window",
    )

    def __init__(self, client_id: str) -> None:
        """Start with no connection, no subscription and nothing to deliver."""
        self.client_id = client_id
        self.link: Link | None = None
        self.expiry = 0
        self.expires_at = 0.0
        self.window = 65_535
        self.will: Will | None = None
        self.subscriptions: dict[str, int] = {}
        self.inflight: dict[int, PublishPacket] = {}
        self.queue: deque[tuple[PublishPacket, int]] = deque()
        self.next_id = 1
        self.dropped = 0

    def attach(self, link: Link, connect: ConnectPacket) -> None:
        """Take a new connection, under the limits that its CONNECT asks for."""
        self.link = link
        self.expiry = connect.session_expiry_interval
        self.window = connect.receive_max
        self.will = connect.will

    def resend(self) -> None:
        """Send again, in order and marked duplicate, what was never acknowledged [MQTT-4.4.0-1]."""
        assert self.link is not None
        unacknowledged, self.inflight = self.inflight, {}
        again = list(unacknowledged.items())
        for packet_id, packet in again[: self.window]:
            self.inflight[packet_id] = packet
            self.link.send(encode(packet, QoS.AT_LEAST_ONCE, packet_id, duplicate=True))
        self.queue.extendleft((packet, 1) for _, packet in reversed(again[self.window :]))
        self.pump()

    def deliver(self, packet: PublishPacket, qos: int) -> bool:
        """Send a message to the client, or keep it until it can be sent.

        Returns:
            False when nothing more can wait for this session, so that the message is refused.
        """
        link = self.link
        if qos == 0 and link is not None:
            if link.clogged:
                self.dropped += 1
            else:
                link.send(encode(packet, QoS.AT_MOST_ONCE, None))
            return True
        if link is not None and len(self.inflight) < self.window and not self.queue:
            self._send(link, packet)
            return True
        if len(self.queue) >= QUEUE_LIMIT:
            return False
        self.queue.append((packet, qos))
        return True

    def acknowledge(self, packet_id: int) -> bool:
        """Take a PUBACK and send what waited for it; False when nothing of that id is on the way."""
        if self.inflight.pop(packet_id, None) is None:
            return False
        if self.queue:
            self.pump()
        return True

    def pump(self) -> None:
        """Send what waits, as far as the client's Receive Maximum allows."""
        link, queue = self.link, self.queue
        while link is not None and queue and len(self.inflight) < self.window:
            packet, qos = queue.popleft()
            if qos == 0:
                link.send(encode(packet, QoS.AT_MOST_ONCE, None))
            else:
                self._send(link, packet)

    def _send(self, link: Link, packet: PublishPacket) -> None:
        packet_id = self.next_id
        while packet_id in self.inflight:
            packet_id = packet_id % 65_535 + 1
        self.next_id = packet_id % 65_535 + 1
        self.inflight[packet_id] = packet
        link.send(encode(packet, QoS.AT_LEAST_ONCE, packet_id))


def encode(packet: PublishPacket, qos: QoS, packet_id: int | None, *, duplicate: bool = False) -> bytes:
    """Encode a received PUBLISH for one subscriber, with its properties as they came."""
    return PublishPacket(
        packet.topic,
        packet.payload,
        qos=qos,
        packet_id=packet_id,
        duplicate=duplicate,
        payload_format_indicator=packet.payload_format_indicator,
        message_expiry_interval=packet.message_expiry_interval,
        content_type=packet.content_type,
        response_topic=packet.response_topic,
        correlation_data=packet.correlation_data,
        user_properties=packet.user_properties,
    ).write()
