"""What a session can be asked to send."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

from mqtt5 import (
    DisconnectPacket,
    DisconnectReasonCode,
    PingReqPacket,
    PublishPacket,
    QoS,
    RetainHandling,
    SubAckPacket,
    SubscribePacket,
    TopicFilter,
    UnsubAckPacket,
    UnsubscribePacket,
)

from loadgen.errors import LocalProtocolError
from loadgen.mqtt.config import MAXIMUM_ID
from loadgen.mqtt.core import ForbiddenError, SessionCore
from loadgen.mqtt.options import Subscription
from loadgen.mqtt.state import State, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.mqtt.options import PublishOptions

_CONNECTED: Final = State.CONNECTED
_QOS: Final = (QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE)
_RETAIN_HANDLING: Final = (
    RetainHandling.SEND_ALWAYS,
    RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
    RetainHandling.SEND_NEVER,
)
_PINGREQ: Final = PingReqPacket().write()


class Outbound(SessionCore):
    """The sending half of a session."""

    __slots__ = ()

    def connect(self, *, clean: bool = False) -> None:
        """Queue the CONNECT; `clean`: with a clean start, whatever the configuration says.

        Raises:
            LocalProtocolError: there is a connection already, or a string is too long for the wire.
        """
        config = replace(self.config, clean_start=True) if clean else self.config
        packet = config.connect_packet(self.client_id)
        self._step(Step.CONNECT)
        self._clean_start = config.clean_start
        self.connack = None
        self._out.append(packet)

    # One function on purpose: a call for each of its checks would cost as much as the check.
    def publish(  # noqa: C901
        self,
        topic: str,
        payload: bytes,
        qos: int,
        token: object = None,
        options: PublishOptions | None = None,
    ) -> bool:
        """Queue a PUBLISH, or say that the broker's quota leaves no room.

        The topic is not searched for wildcards: scenarios are checked when they are loaded.

        Args:
            topic: at most 65,535 bytes of UTF-8.
            payload: the message.
            qos: 0 or 1.
            token: what `Acknowledged` gives back for QoS 1; kept until then, over reconnects.
            options: what else it carries; None is nothing, and the quickest.

        Returns:
            False when nothing was queued because `send_quota` or the packet ids are used up (QoS 1 only).

        Raises:
            ForbiddenError: beyond what the broker's CONNACK allows.
            LocalProtocolError: not connected, or not to be written.
        """
        if self.state is not _CONNECTED:
            self._step(Step.SEND)
        if qos > self._maximum_qos:
            raise ForbiddenError(f"QoS {qos} was asked for, {self._maximum_qos} is the most here", "qos")
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
            if options is None:
                wire = sent = PublishPacket(topic, payload, qos=_QOS[qos], packet_id=packet_id).write()
            else:
                wire, sent = self._write(topic, payload, qos, packet_id, options)
        except ValueError as error:
            raise LocalProtocolError(f"PUBLISH cannot be written: {error}") from None
        if len(sent) > self._maximum_packet:
            self._refuse_size(len(sent))
        if packet_id is not None:
            self._last_id = packet_id
            self.inflight[packet_id] = (wire, token)
            self.send_quota -= 1
        self._out.append(sent)
        if sent is not wire:
            self._keep_alias(topic)
        return True

    def _write(
        self, topic: str, payload: bytes, qos: int, packet_id: int | None, options: PublishOptions
    ) -> tuple[bytes, bytes]:
        """Write a PUBLISH with options: to be sent again on any connection, and to be sent now.

        The two differ by the topic alias, which means nothing on another connection; an equal pair is one
        object.
        """
        if options.retain and not self._retain_available:
            raise ForbiddenError("the broker keeps no retained messages [MQTT-3.2.2-14]", "retain")
        alias, name = None, topic
        if options.alias:
            aliases = self._topic_aliases
            alias = aliases.get(topic) if aliases is not None else None
            if alias is not None:
                name = ""
            elif (used := len(aliases or ())) < self._alias_maximum:
                alias = used + 1
        # At QoS 0 nothing is sent again, so the second writing is spared.
        whole = None
        if alias is None or qos:
            whole = PublishPacket(
                topic,
                payload,
                qos=_QOS[qos],
                retain=options.retain,
                packet_id=packet_id,
                message_expiry_interval=options.message_expiry,
                content_type=options.content_type,
                user_properties=options.user_properties,
            ).write()
            if alias is None:
                return whole, whole
        sent = PublishPacket(
            name,
            payload,
            qos=_QOS[qos],
            retain=options.retain,
            packet_id=packet_id,
            message_expiry_interval=options.message_expiry,
            content_type=options.content_type,
            topic_alias=alias,
            user_properties=options.user_properties,
        ).write()
        return whole if whole is not None else b"", sent

    def _keep_alias(self, topic: str) -> None:
        """Remember that the broker knows this topic's alias: only now, as a refused packet tells nothing."""
        if self._topic_aliases is None:
            self._topic_aliases = {}
        self._topic_aliases.setdefault(topic, len(self._topic_aliases) + 1)

    def subscribe(
        self, filters: Sequence[Subscription | tuple[str, int]], identifier: int | None = None
    ) -> int:
        """Queue a SUBSCRIBE and give its packet id.

        Args:
            filters: topic filters with their options; (filter, maximum QoS 0 or 1) where there are none.
            identifier: subscription identifier that messages of these filters are to carry, from 1.

        Raises:
            LocalProtocolError: not connected, no filters, QoS above 1, or too large for the broker.
        """
        self._step(Step.SEND)
        wanted = [Subscription(*each) for each in filters]
        if not wanted or any(each.qos not in (0, 1) for each in wanted):
            raise LocalProtocolError("a SUBSCRIBE needs at least one filter, each with QoS 0 or 1")
        packet_id = self._free_id()
        try:
            packets = [
                TopicFilter(
                    each.pattern,
                    max_qos=_QOS[each.qos],
                    no_local=each.no_local,
                    retain_as_published=each.retain_as_published,
                    retain_handling=_RETAIN_HANDLING[each.retain_handling],
                )
                for each in wanted
            ]
            wire = SubscribePacket(packet_id, packets, subscription_id=identifier).write()
        except ValueError as error:
            raise LocalProtocolError(f"SUBSCRIBE cannot be written: {error}") from None
        return self._request(packet_id, wire, SubAckPacket, len(wanted))

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

    def _refuse_size(self, size: int) -> NoReturn:
        raise ForbiddenError(
            f"a packet of {size} bytes, the broker takes {self._maximum_packet} [MQTT-3.2.2-15]",
            "packet-too-large",
        )
