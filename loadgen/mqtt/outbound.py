"""What a session can be asked to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from mqtt5 import (
    DisconnectPacket,
    DisconnectReasonCode,
    PingReqPacket,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubscribePacket,
    TopicFilter,
    UnsubAckPacket,
    UnsubscribePacket,
)

from loadgen.errors import LocalProtocolError
from loadgen.mqtt.config import MAXIMUM_ID
from loadgen.mqtt.core import SessionCore
from loadgen.mqtt.state import State, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from loadgen.mqtt.config import PublishProperties

_CONNECTED: Final = State.CONNECTED
_QOS: Final = (QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE)
_PINGREQ: Final = PingReqPacket().write()


class Outbound(SessionCore):
    """The sending half of a session."""

    __slots__ = ()

    def connect(self) -> None:
        """Queue the CONNECT.

        Raises:
            LocalProtocolError: there is a connection already, or a string is too long for the wire.
        """
        packet = self.config.connect_packet(self.client_id)
        self._step(Step.CONNECT)
        self.connack = None
        self._out.append(packet)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        token: object = None,
        *,
        retain: bool = False,
        **properties: Unpack[PublishProperties],
    ) -> bool:
        """Queue a PUBLISH, or say that the broker's quota leaves no room.

        The topic is not searched for wildcards: scenarios are checked when they are loaded.

        Args:
            topic: at most 65,535 bytes of UTF-8.
            payload: the message.
            qos: 0 or 1.
            token: what `Acknowledged` gives back for QoS 1; kept until then, over reconnects.
            retain: ask the broker to keep the message.
            properties: optional PUBLISH properties.

        Returns:
            False when nothing was queued because `send_quota` or the packet ids are used up (QoS 1 only).

        Raises:
            LocalProtocolError: not connected, or beyond what the broker's CONNACK allows.
        """
        if self.state is not _CONNECTED:
            self._step(Step.SEND)
        if qos > self._maximum_qos or (retain and not self._retain_available):
            self._refuse(qos)
        packet_id = None
        if qos:
            if self.send_quota <= 0:
                return False
            packet_id = self._last_id % MAXIMUM_ID + 1
            if packet_id in self.inflight or self._pending is not None:
                packet_id = self._free_id()
                if not packet_id:
                    return False
        try:
            wire = PublishPacket(
                topic, payload, qos=_QOS[qos], retain=retain, packet_id=packet_id, **properties
            ).write()
        except ValueError as error:
            raise LocalProtocolError(f"PUBLISH cannot be written: {error}") from None
        if len(wire) > self._maximum_packet:
            self._refuse_size(len(wire))
        if packet_id is not None:
            self._last_id = packet_id
            self.inflight[packet_id] = (wire, token)
            self.send_quota -= 1
        self._out.append(wire)
        return True

    def subscribe(self, filters: Sequence[tuple[str, int]]) -> int:
        """Queue a SUBSCRIBE of (filter, maximum QoS 0 or 1) pairs and give its packet id.

        Raises:
            LocalProtocolError: not connected, no filters, QoS above 1, or too large for the broker.
        """
        self._step(Step.SEND)
        if not filters or any(qos not in (0, 1) for _, qos in filters):
            raise LocalProtocolError("a SUBSCRIBE needs at least one filter, each with QoS 0 or 1")
        packet_id = self._free_id()
        try:
            wanted = [TopicFilter(pattern, max_qos=_QOS[qos]) for pattern, qos in filters]
            wire = SubscribePacket(packet_id, wanted).write()
        except ValueError as error:
            raise LocalProtocolError(f"SUBSCRIBE cannot be written: {error}") from None
        return self._request(packet_id, wire, SubAckPacket, len(filters))

    def unsubscribe(self, filters: Sequence[str]) -> int:
        """Queue an UNSUBSCRIBE and give its packet id.

        Raises:
            LocalProtocolError: not connected, no filters, or too large for the broker.
        """
        self._step(Step.SEND)
        if not filters:
            raise LocalProtocolError("an UNSUBSCRIBE needs at least one filter")
        packet_id = self._free_id()
        try:
            wire = UnsubscribePacket(packet_id, list(filters)).write()
        except ValueError as error:
            raise LocalProtocolError(f"UNSUBSCRIBE cannot be written: {error}") from None
        return self._request(packet_id, wire, UnsubAckPacket, len(filters))

    def ping(self) -> None:
        """Queue a PINGREQ.

        Raises:
            LocalProtocolError: not connected.
        """
        self._step(Step.SEND)
        self._out.append(_PINGREQ)
        self.pings_outstanding += 1

    def disconnect(self, reason: int = 0, session_expiry: int | None = None) -> None:
        """Queue a DISCONNECT; the owner writes it and closes the transport.

        Args:
            reason: DISCONNECT reason code; 4 asks the broker to publish the will.
            session_expiry: seconds to keep the session from now on, in place of what was asked for.

        Raises:
            LocalProtocolError: no connection, or an expiry where CONNECT asked for 0 [MQTT-3.14.2-2].
        """
        if session_expiry and not self.config.session_expiry:
            raise LocalProtocolError("a session that was opened with expiry 0 cannot be kept")
        try:
            code = DisconnectReasonCode(int(reason))
        except ValueError:
            raise LocalProtocolError(f"{reason} is no DISCONNECT reason code") from None
        self._step(Step.DISCONNECT)
        self._out.append(DisconnectPacket(reason_code=code, session_expiry_interval=session_expiry).write())

    def take(self) -> bytes:
        """Give everything queued and forget it; empty when there is nothing to send."""
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        self._acks_held = 0
        return data

    def _request(
        self, packet_id: int, wire: bytes, answer: type[SubAckPacket | UnsubAckPacket], filters: int
    ) -> int:
        if not packet_id:
            raise LocalProtocolError("all 65,535 packet ids are in use")
        if len(wire) > self._maximum_packet:
            self._refuse_size(len(wire))
        if self._pending is None:
            self._pending = {}
        self._pending[packet_id] = (answer, filters)
        self._last_id = packet_id
        self._out.append(wire)
        return packet_id

    def _refuse(self, qos: int) -> NoReturn:
        if qos > self._maximum_qos:
            raise LocalProtocolError(f"QoS {qos} was asked for, {self._maximum_qos} is the most here")
        raise LocalProtocolError("the broker keeps no retained messages [MQTT-3.2.2-14]")

    def _refuse_size(self, size: int) -> NoReturn:
        raise LocalProtocolError(
            f"a packet of {size} bytes, the broker takes {self._maximum_packet} [MQTT-3.2.2-15]"
        )
