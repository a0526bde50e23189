"""A broker without IO that does what a test says: bytes of a client in, chosen packets out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    Packet,
    PingReqPacket,
    PingRespPacket,
    PubAckPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    UnsubAckPacket,
    UnsubAckReasonCode,
    UnsubscribePacket,
    read,
)

from loadgen.mqtt.session import Session

if TYPE_CHECKING:
    from loadgen.mqtt.config import SessionConfig
    from loadgen.mqtt.events import Event

P = TypeVar("P")


class PacketReader:
    """Bytes in pieces of any size in, whole packets out."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Packet]:
        """Take more bytes; ValueError when they are not MQTT."""
        stream = self._buffer + data
        packets: list[Packet] = []
        at = 0
        while at < len(stream):
            try:
                packet, size = read(memoryview(stream)[at:])
            except IndexError:
                break
            packets.append(packet)
            at += size
        self._buffer = stream[at:]
        return packets


class ScriptedBroker:
    """The other end of one session; keeps what came and answers only when asked to.

    `answers(packets)` gives the friendly answers; a test that wants something else writes its own packets.
    """

    def __init__(self, connack: ConnAckPacket | None = None) -> None:
        self.received: list[Packet] = []
        self.connack = connack or ConnAckPacket()
        self._reader = PacketReader()

    def feed(self, data: bytes) -> list[Packet]:
        """Take a client's bytes, keep the packets and give the new ones."""
        packets = self._reader.feed(data)
        self.received += packets
        return packets

    def of(self, kind: type[P]) -> list[P]:
        """Give every received packet of one kind, in order."""
        return [packet for packet in self.received if isinstance(packet, kind)]

    def answers(self, packets: list[Packet]) -> bytes:
        """Give what a friendly broker answers to these packets."""
        return b"".join(self._answer(packet) for packet in packets)

    def _answer(self, packet: Packet) -> bytes:
        if isinstance(packet, ConnectPacket):
            return self.connack.write()
        if isinstance(packet, PublishPacket) and packet.packet_id is not None:
            return PubAckPacket(packet.packet_id).write()
        if isinstance(packet, SubscribePacket):
            granted = [
                SubAckReasonCode(min(int(topic_filter.max_qos), 1)) for topic_filter in packet.topic_filters
            ]
            return SubAckPacket(packet.packet_id, granted).write()
        if isinstance(packet, UnsubscribePacket):
            return UnsubAckPacket(
                packet.packet_id, [UnsubAckReasonCode.SUCCESS for _ in packet.patterns]
            ).write()
        if isinstance(packet, PingReqPacket):
            return PingRespPacket().write()
        return b""


def pump(session: Session, broker: ScriptedBroker) -> list[Event]:
    """Carry bytes both ways, with friendly answers, until nothing is left; give the session's events."""
    events: list[Event] = []
    while data := session.take():
        answer = broker.answers(broker.feed(data))
        if answer:
            events += session.receive(answer)
    return events


def connected(config: SessionConfig, connack: ConnAckPacket | None = None) -> tuple[Session, ScriptedBroker]:
    """Give a session that is connected to a new scripted broker."""
    session, broker = Session(config), ScriptedBroker(connack)
    session.connect()
    pump(session, broker)
    return session, broker


def message(topic: str = "a/b", payload: bytes = b"x", *, packet_id: int | None = None) -> PublishPacket:
    """Give a PUBLISH as a broker sends it: QoS 1 with a packet id, QoS 0 without."""
    qos = QoS.AT_MOST_ONCE if packet_id is None else QoS.AT_LEAST_ONCE
    return PublishPacket(topic, payload, qos=qos, packet_id=packet_id)
