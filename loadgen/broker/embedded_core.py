"""The embedded broker without input and output: packets in, packets out, in the manner of RabbitMQ.

Reason codes and refusals follow RabbitMQ 4.3 where this broker has the feature at all; what it lacks it
refuses aloud. docs/embedded.md lists both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mqtt5
from mqtt5 import ConnAckReasonCode, DisconnectReasonCode, PubAckReasonCode, SubAckReasonCode

from loadgen.broker.embedded_session import Link, Session
from loadgen.broker.embedded_topics import Topics, valid_filter

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC_ALIASES = 16
"""Topic aliases a client may define; RabbitMQ's `mqtt.topic_alias_maximum`."""
PACKET_BYTES = 16_777_216
"""Largest packet from a client, as in RabbitMQ from 4.1."""


# The codec's enumerations are no IntEnums, whatever its stubs say: no order, and none made from a number.
_GRANTED = (SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE)


class Violation(Exception):  # noqa: N818 (the client's fault, not an error of ours)
    """The client broke the protocol or asked for what is refused here; it gets DISCONNECT with `reason`."""

    def __init__(self, reason: DisconnectReasonCode) -> None:
        """Keep the reason code for the DISCONNECT."""
        super().__init__(repr(reason))
        self.reason = reason


class Core:
    """All sessions and their subscriptions; the caller brings connections, bytes and the time."""

    def __init__(self, now: Callable[[], float], max_connections: int) -> None:
        """Start empty.

        Args:
            now: a monotonic clock in seconds.
            max_connections: clients connected at once; one more gets CONNACK 0x97.
        """
        self._now = now
        self._max_connections = max_connections
        self._topics: Topics[Session] = Topics()
        self.sessions: dict[str, Session] = {}
        self.connected = 0
        self.received = 0
        self.unroutable = 0
        self.dropped = 0
        """QoS 0 messages that sessions which have ended did not take."""

    def connect(self, link: Link, packet: mqtt5.ConnectPacket) -> Session | None:
        """Answer a CONNECT; None when it was refused, and then the connection is closing."""
        reason = None
        if packet.authentication_method is not None:
            reason = ConnAckReasonCode.BAD_AUTHENTICATION_METHOD
        elif packet.will is not None and packet.will.qos == mqtt5.QoS.EXACTLY_ONCE:
            reason = ConnAckReasonCode.QUALITY_NOT_SUPPORTED
        elif packet.will is not None and packet.will.retain:
            reason = ConnAckReasonCode.RETAIN_NOT_SUPPORTED
        elif self.connected >= self._max_connections:
            reason = ConnAckReasonCode.QUOTA_EXCEEDED
        if reason is not None:
            link.send(mqtt5.ConnAckPacket(reason_code=reason).write())
            link.close()
            return None
        client_id = packet.client_id or f"loadgen-{id(link):x}"
        session = self.sessions.get(client_id)
        if session is not None and session.link is not None:
            old = session.link
            old.send(mqtt5.DisconnectPacket(reason_code=DisconnectReasonCode.SESSION_TAKEN_OVER).write())
            self.lost(session, old)
            old.close()
            session = self.sessions.get(client_id)
        if session is not None and packet.clean_start:
            self._end(session)
            session = None
        present = session is not None
        if session is None:
            session = self.sessions[client_id] = Session(client_id)
        session.attach(link, packet)
        self.connected += 1
        link.send(
            mqtt5.ConnAckPacket(
                session_present=present,
                assigned_client_id=None if packet.client_id else client_id,
                topic_alias_max=TOPIC_ALIASES,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                max_packet_size=PACKET_BYTES,
                retain_available=False,
                subscription_id_available=False,
                shared_subscription_available=False,
            ).write()
        )
        session.resend()
        return session

    def publish(self, link: Link, packet: mqtt5.PublishPacket) -> None:
        """Route a PUBLISH whose topic alias is already resolved, then acknowledge it.

        Raises:
            Violation: QoS 2, retained, or a topic that is none.
        """
        if packet.qos == mqtt5.QoS.EXACTLY_ONCE:
            raise Violation(DisconnectReasonCode.QOS_NOT_SUPPORTED)
        if packet.retain:
            raise Violation(DisconnectReasonCode.RETAIN_NOT_SUPPORTED)
        acknowledge = packet.qos == mqtt5.QoS.AT_LEAST_ONCE
        if not packet.topic or "+" in packet.topic or "#" in packet.topic:  # the codec reads any
            raise Violation(DisconnectReasonCode.TOPIC_NAME_INVALID)
        self.received += 1
        accepted, reached = self._route(packet, int(acknowledge))
        if acknowledge:
            assert packet.packet_id is not None
            if not accepted:
                reason = PubAckReasonCode.QUOTA_EXCEEDED
            elif not reached:
                reason = PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
            else:
                reason = PubAckReasonCode.SUCCESS
            link.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=reason).write())

    def _route(self, packet: mqtt5.PublishPacket, published_qos: int) -> tuple[bool, bool]:
        """Deliver to every match; return (every one took it, there was one)."""
        matches = self._topics.match(packet.topic)
        accepted = True
        for session, qos in matches:
            if not session.deliver(packet, min(qos, published_qos)):
                accepted = False
        if not matches:
            self.unroutable += 1
        return accepted, bool(matches)

    def acknowledged(self, session: Session, packet: mqtt5.PubAckPacket) -> None:
        """Take a client's PUBACK; one that answers nothing is ignored, as a resumed session may send it."""
        session.acknowledge(packet.packet_id)

    def subscribe(self, session: Session, link: Link, packet: mqtt5.SubscribePacket) -> None:
        """Add subscriptions and answer with SUBACK; QoS 2 is granted as 1.

        Raises:
            Violation: a subscription identifier, which CONNACK said are not available.
        """
        if packet.subscription_id is not None:
            raise Violation(DisconnectReasonCode.SUBSCRIPTION_IDS_NOT_SUPPORTED)
        reasons = []
        for wanted in packet.topic_filters:
            if wanted.pattern.startswith("$share/"):
                reasons.append(SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
            elif not valid_filter(wanted.pattern):
                reasons.append(SubAckReasonCode.TOPIC_FILTER_INVALID)
            else:
                qos = 0 if wanted.max_qos == mqtt5.QoS.AT_MOST_ONCE else 1
                session.subscriptions[wanted.pattern] = qos
                self._topics.subscribe(wanted.pattern, session, qos)
                reasons.append(_GRANTED[qos])
        link.send(mqtt5.SubAckPacket(packet.packet_id, reasons).write())

    def unsubscribe(self, session: Session, link: Link, packet: mqtt5.UnsubscribePacket) -> None:
        """Remove subscriptions and answer with UNSUBACK."""
        reasons = []
        for pattern in packet.patterns:
            if session.subscriptions.pop(pattern, None) is None:
                reasons.append(mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED)
            else:
                self._topics.unsubscribe(pattern, session)
                reasons.append(mqtt5.UnsubAckReasonCode.SUCCESS)
        link.send(mqtt5.UnsubAckPacket(packet.packet_id, reasons).write())

    def disconnect(self, session: Session, link: Link, packet: mqtt5.DisconnectPacket) -> None:
        """Take a client's DISCONNECT: no will unless it asks for one, and perhaps a new expiry.

        Raises:
            Violation: an expiry where CONNECT had none [MQTT-3.14.2-2].
        """
        if packet.session_expiry_interval is not None:
            if session.expiry == 0 and packet.session_expiry_interval > 0:
                raise Violation(DisconnectReasonCode.PROTOCOL_ERROR)
            session.expiry = packet.session_expiry_interval
        if packet.reason_code != DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE:
            session.will = None
        self.lost(session, link)
        link.close()

    def lost(self, session: Session, link: Link) -> None:
        """The connection is gone: publish the will, keep the session or end it; once per connection."""
        if session.link is not link:
            return
        session.link = None
        self.connected -= 1
        if (will := session.will) is not None:
            session.will = None
            qos = int(will.qos == mqtt5.QoS.AT_LEAST_ONCE)
            packet = mqtt5.PublishPacket(
                will.topic,
                will.payload or b"",
                qos=will.qos,
                packet_id=qos or None,
                payload_format_indicator=will.payload_format_indicator,
                message_expiry_interval=will.message_expiry_interval,
                content_type=will.content_type,
                response_topic=will.response_topic,
                correlation_data=will.correlation_data,
                user_properties=will.user_properties,
            )
            self._route(packet, qos)
        if session.expiry == 0:
            self._end(session)
        elif session.expiry == 0xFFFFFFFF:  # never [MQTT-3.1.2.11.2]
            session.expires_at = float("inf")
        else:
            session.expires_at = self._now() + session.expiry

    def expire(self) -> None:
        """End the sessions whose time without a connection is over."""
        now = self._now()
        for session in [s for s in self.sessions.values() if s.link is None and s.expires_at <= now]:
            self._end(session)

    def _end(self, session: Session) -> None:
        self.dropped += session.dropped
        session.dropped = 0
        for pattern in session.subscriptions:
            self._topics.unsubscribe(pattern, session)
        session.subscriptions.clear()
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
