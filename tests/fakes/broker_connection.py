"""One connection of the fake broker: packets in, the broker's behaviour out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from mqtt5 import (
    ConnectPacket,
    DisconnectPacket,
    DisconnectReasonCode,
    Packet,
    PingReqPacket,
    PingRespPacket,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
    UnsubAckPacket,
    UnsubAckReasonCode,
    UnsubscribePacket,
    Will,
)

from tests.fakes.broker_sessions import outgoing, replaced
from tests.fakes.scripted_broker import PacketReader
from tests.fakes.topics import matches

if TYPE_CHECKING:
    from tests.fakes.broker_sessions import BrokerSession
    from tests.fakes.tcp_broker import FakeBroker


class BrokerConnection(asyncio.Protocol):
    """A client's connection; every packet is recorded in the broker and answered as it says."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.session: BrokerSession | None = None
        self.publishes = 0
        self.will: Will | None = None
        self._aliases: dict[int, str] = {}
        self._reader = PacketReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are of a class of their own.
        self._transport = cast("asyncio.Transport", transport)
        self.broker.accepted += 1
        self.broker.connections.add(self)
        self.broker.changed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        self.broker.forget(self)

    def data_received(self, data: bytes) -> None:
        try:
            packets = self._reader.feed(data)
        except ValueError as error:
            self.broker.errors.append(f"malformed packet: {error}")
            self.end(0x81)  # malformed packet
            return
        for packet in packets:
            assert self._transport is not None
            if self._transport.is_closing():
                break
            self._handle(packet)
        self.broker.changed()

    def write(self, data: bytes) -> None:
        """Send, unless the connection is on its way out."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end(self, reason: int | None) -> None:
        """Break the connection; with a reason, say DISCONNECT first and close in order."""
        assert self._transport is not None
        if reason is None and self.session is not None:
            self._transport.abort()
            return
        if reason is not None and self.session is not None:
            self.write(DisconnectPacket(reason_code=DisconnectReasonCode(reason)).write())
        self._transport.close()

    def _handle(self, packet: Packet) -> None:  # noqa: C901 - one branch per packet type
        broker = self.broker
        if isinstance(packet, ConnectPacket):
            self._connect(packet)
        elif self.session is None:
            if not broker.silent and not broker.connack_delay_s:
                broker.errors.append(f"{type(packet).__name__} before CONNACK")
        elif isinstance(packet, PublishPacket):
            self._publish(packet)
        elif isinstance(packet, PubAckPacket):
            broker.acknowledgements += 1
            self.session.acknowledge(packet.packet_id)
        elif isinstance(packet, SubscribePacket):
            self._subscribe(packet, self.session)
        elif isinstance(packet, UnsubscribePacket):
            for pattern in packet.patterns:
                self.session.subscriptions.pop(pattern, None)
            codes = [UnsubAckReasonCode.SUCCESS for _ in packet.patterns]
            self.write(UnsubAckPacket(packet.packet_id, codes).write())
        elif isinstance(packet, PingReqPacket):
            broker.pings += 1
            if broker.pong:
                self.write(PingRespPacket().write())
        elif isinstance(packet, DisconnectPacket):
            self._disconnect(packet, self.session)
        else:
            broker.errors.append(f"unexpected {type(packet).__name__}")
            self.end(0x82)  # protocol error

    def _connect(self, packet: ConnectPacket) -> None:
        assert self._transport is not None
        certificate = self._transport.get_extra_info("peercert")
        if certificate:
            self.broker.certificates.append(certificate)
        if self.broker.connack_delay_s:
            asyncio.get_running_loop().call_later(
                self.broker.connack_delay_s, self.broker.accept, self, packet
            )
        else:
            self.broker.accept(self, packet)

    def _publish(self, packet: PublishPacket) -> None:
        broker = self.broker
        number = len(broker.publishes)
        broker.publishes.append(packet)
        self.publishes += 1
        if broker.close_after is not None and self.publishes >= broker.close_after:
            self.end(None)
            return
        code: int | None = 0 if broker.puback is None else broker.puback(number, packet)
        if packet.topic_alias is not None:
            if packet.topic:
                self._aliases[packet.topic_alias] = packet.topic
            packet = replaced(packet, topic=self._aliases[packet.topic_alias])
        matched = broker.route(packet, self.session) if code is None or code < 0x80 else True
        if packet.packet_id is None or code is None:
            return
        if not matched:
            code = broker.unmatched_code
        answer = PubAckPacket(packet.packet_id, reason_code=PubAckReasonCode(code)).write()
        if broker.puback_delay_s:
            asyncio.get_running_loop().call_later(broker.puback_delay_s, self.write, answer)
        else:
            self.write(answer)

    def _subscribe(self, packet: SubscribePacket, session: BrokerSession) -> None:
        broker = self.broker
        broker.subscribes.append(packet)
        codes: list[SubAckReasonCode] = []
        kept: list[PublishPacket] = []
        for topic_filter in packet.topic_filters:
            code = None if broker.suback is None else broker.suback(topic_filter.pattern)
            granted = min(int(topic_filter.max_qos), 1) if code is None else code
            codes.append(SubAckReasonCode(granted))
            if granted < 0x80:
                new = topic_filter.pattern not in session.subscriptions
                session.subscriptions[topic_filter.pattern] = granted
                session.options[topic_filter.pattern] = topic_filter
                if packet.subscription_id is not None:
                    session.identifiers[topic_filter.pattern] = packet.subscription_id
                if int(topic_filter.retain_handling) + (not new) <= 1:
                    kept += [
                        outgoing(
                            each,
                            min(granted, int(each.qos)),
                            packet_id=1 if granted and each.packet_id else None,
                        )
                        for topic, each in broker.retained.items()
                        if matches(topic_filter.pattern, topic)
                    ]
        self.write(SubAckPacket(packet.packet_id, codes).write())
        for message in kept:
            session.deliver(message)

    def _disconnect(self, packet: DisconnectPacket, session: BrokerSession) -> None:
        self.broker.disconnects.append(packet)
        self.will = None
        if packet.session_expiry_interval is not None:
            session.expiry = packet.session_expiry_interval
        assert self._transport is not None
        self._transport.close()
