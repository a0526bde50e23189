"""How a session answers packets that are rare: everything but PUBLISH and the short PUBACK."""

from __future__ import annotations

from collections import deque

from mqtt5 import (
    ConnAckPacket,
    DisconnectPacket,
    Packet,
    PingRespPacket,
    PubAckPacket,
    PublishPacket,
    SubAckPacket,
    UnsubAckPacket,
)

from loadgen.mqtt.config import MAXIMUM_PACKET
from loadgen.mqtt.core import (
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    TOPIC_ALIAS_INVALID,
)
from loadgen.mqtt.events import (
    Acknowledged,
    BrokenRuleError,
    Connected,
    Disconnected,
    Event,
    Pong,
    Redelivered,
    Refused,
    Subscribed,
    Unsubscribed,
)
from loadgen.mqtt.framing import with_dup
from loadgen.mqtt.outbound import Outbound
from loadgen.mqtt.state import State, Step


class Inbound(Outbound):
    """The receiving half of a session, without the loop that feeds it."""

    __slots__ = ()

    def _answer(self, packet: Packet) -> Event | None:
        """Act on one packet and give its event, None when there is nothing to tell.

        Raises:
            BrokenRuleError: the packet is wrong here.
        """
        if isinstance(packet, ConnAckPacket):
            return self._connack(packet)
        if isinstance(packet, DisconnectPacket):
            self._step(Step.DISCONNECTED)
            return Disconnected(int(packet.reason_code), packet)
        self._step(Step.PACKET)
        if isinstance(packet, PubAckPacket):
            return Acknowledged(self._release(packet.packet_id), int(packet.reason_code))
        if isinstance(packet, PublishPacket):
            # Only after our DISCONNECT: it did arrive, but an acknowledgement is no longer allowed.
            return packet if packet.topic_alias is None else self._resolve_alias(packet, packet.topic_alias)
        if isinstance(packet, PingRespPacket):
            self.pings_outstanding = max(0, self.pings_outstanding - 1)
            return Pong()
        if isinstance(packet, SubAckPacket | UnsubAckPacket):
            return self._suback(packet)
        raise BrokenRuleError(f"a broker never sends {type(packet).__name__} here", PROTOCOL_ERROR)

    def _connack(self, packet: ConnAckPacket) -> Event | None:
        reason = int(packet.reason_code)
        self._step(Step.REFUSED if reason else Step.ACCEPTED)
        self.connack = packet
        if reason:
            return Refused(reason, packet)
        if self.state is not State.CONNECTED:
            return None  # we gave up in the meantime
        if packet.session_present and self._clean_start:
            raise BrokenRuleError("session present after a clean start [MQTT-3.2.2-2]", PROTOCOL_ERROR)
        if packet.assigned_client_id is not None:
            self.client_id = packet.assigned_client_id
        elif not self.client_id:
            raise BrokenRuleError("no client id assigned [MQTT-3.2.2-16]", PROTOCOL_ERROR)
        asked = self.config
        self.keep_alive = asked.keep_alive if packet.server_keep_alive is None else packet.server_keep_alive
        expiry = packet.session_expiry_interval
        self.session_expiry = asked.session_expiry if expiry is None else expiry
        self.send_quota = packet.receive_max
        self._maximum_packet = packet.max_packet_size or MAXIMUM_PACKET
        self._maximum_qos = min(int(packet.max_qos), 1)
        self._retain_available = packet.retain_available
        self._alias_maximum = packet.topic_alias_max
        return self._resume(packet)

    def _resume(self, connack: ConnAckPacket) -> Connected:
        """Send unacknowledged publishes again in their order, or give them up with the session.

        A session that the broker still has from an earlier process is taken over, although a client without
        state of its own should turn it down [MQTT-3.2.2-4]: repeated runs on kept sessions are a use of ours.
        """
        entries = self.inflight
        self.inflight = {}
        abandoned: list[object] = []
        waiting: deque[tuple[int, bytes, object]] = deque()
        for packet_id, (wire, token) in entries.items():
            if connack.session_present and self._maximum_qos and len(wire) <= self._maximum_packet:
                waiting.append((packet_id, with_dup(wire), token))
            else:
                abandoned.append(token)
        resent = len(waiting)
        if waiting:
            self._waiting = waiting
            self._send_waiting()
        return Connected(connack, connack.session_present, resent, abandoned)

    def _send_waiting(self) -> None:
        """Send again what the quota allows [MQTT-4.4.0-1], oldest first [MQTT-4.6.0-1]."""
        waiting = self._waiting
        while waiting and self.send_quota:
            packet_id, wire, token = waiting.popleft()
            self.inflight[packet_id] = (wire, token)
            self._out.append(wire)
            self.send_quota -= 1
        if not waiting:
            self._waiting = None

    def _release(self, packet_id: int) -> object:
        """End a publish that was acknowledged, with whatever reason, and give its token [§4.9]."""
        entry = self.inflight.pop(packet_id, None)
        if entry is None:
            raise BrokenRuleError(f"PUBACK for packet id {packet_id}, which is not under way", PROTOCOL_ERROR)
        self.send_quota += 1
        if self._waiting is not None:
            self._send_waiting()
        return entry[1]

    def _suback(self, packet: SubAckPacket | UnsubAckPacket) -> Event:
        answer, filters = (self._pending or {}).pop(packet.packet_id, (None, 0))
        if answer is not type(packet) or filters != len(packet.reason_codes):
            raise BrokenRuleError(f"{type(packet).__name__} answers nothing we asked", PROTOCOL_ERROR)
        if not self._pending:
            self._pending = None
        reasons = tuple(int(code) for code in packet.reason_codes)
        kind = Subscribed if isinstance(packet, SubAckPacket) else Unsubscribed
        return kind(packet.packet_id, reasons)

    def _resolve_alias(self, packet: PublishPacket, alias: int) -> PublishPacket:
        """Learn a topic alias, or give the packet with the topic that its alias stands for [§3.3.2.3.4].

        The codec has refused alias 0, and an empty topic without an alias.
        """
        topic = packet.topic
        if alias > self.config.topic_alias_maximum:
            raise BrokenRuleError(f"topic alias {alias} was not allowed [MQTT-3.1.2-26]", TOPIC_ALIAS_INVALID)
        if self._aliases is None:
            self._aliases = {}
        if topic:
            self._aliases[alias] = topic
            return packet
        known = self._aliases.get(alias)
        if known is None:
            raise BrokenRuleError(f"topic alias {alias} was never set [MQTT-3.3.2-7]", PROTOCOL_ERROR)
        return PublishPacket(
            known,
            packet.payload,
            qos=packet.qos,
            retain=packet.retain,
            packet_id=packet.packet_id,
            duplicate=packet.duplicate,
            payload_format_indicator=packet.payload_format_indicator,
            message_expiry_interval=packet.message_expiry_interval,
            content_type=packet.content_type,
            response_topic=packet.response_topic,
            correlation_data=packet.correlation_data,
            subscription_ids=packet.subscription_ids,
            topic_alias=alias,
            user_properties=packet.user_properties,
        )

    def _flagged(self, packet: PublishPacket, first: int) -> Redelivered:
        """Give the event of a message whose fixed header has the DUP flag, or a QoS that we do not take."""
        if first & 0x04:
            raise BrokenRuleError("a QoS 2 message, our subscriptions allow 1", QOS_NOT_SUPPORTED)
        return Redelivered(packet)

    def _check_size(self, size: int) -> None:
        """Refuse a packet larger than our CONNECT allows [MQTT-3.1.2-24]."""
        most = self.config.maximum_packet_size
        if most is not None and size > most:
            raise BrokenRuleError(f"a packet of {size} bytes, we take {most}", PACKET_TOO_LARGE)
