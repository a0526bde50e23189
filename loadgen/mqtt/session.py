"""One client's MQTT 5 session, living across its reconnects.

The hot path (`publish`, `take`, and PUBACK and PUBLISH in `receive`) runs thousands of times a second, so it
trades a little repetition for no call, dict or closure per message.
"""

from __future__ import annotations

import struct
from typing import Final

from mqtt5 import PublishPacket, read

from loadgen.mqtt.core import MALFORMED, PROTOCOL_ERROR, RECEIVE_MAXIMUM_EXCEEDED
from loadgen.mqtt.events import Acknowledged, BrokenRuleError, Event
from loadgen.mqtt.framing import declared_size
from loadgen.mqtt.inbound import Inbound
from loadgen.mqtt.state import State, Step

_CONNECTED: Final = State.CONNECTED
_PUBACK: Final = 0x40
_SHORT_PUBACK: Final = 0x4002
"""How a PUBACK starts that carries only its packet id, which means success [§3.4.2.1]."""
_pack_puback: Final = struct.Struct(">HH").pack
_new: Final = tuple.__new__
"""Makes a NamedTuple in half the time of calling it."""


class Session(Inbound):
    """The client's side of MQTT 5, QoS 0 and 1, without IO.

    Call `connect()`, write what `take()` gives, feed what arrives to `receive()`, and tell
    `connection_lost()` when the transport is gone; then `connect()` again resumes. Ids of our publishes and
    subscriptions and ids of the broker's messages are separate [§2.2.1].
    """

    __slots__ = ()

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the broker, in pieces of any size, and tell what happened.

        PUBACKs for QoS 1 messages are queued for the next `take()`.

        Raises:
            LocalProtocolError: there is no connection.
            BrokenRuleError: a `RemoteProtocolError`; its `events` are those that came before the fault, and
                a DISCONNECT with its `reason` is queued where MQTT allows one.
        """
        if self.state is not _CONNECTED:
            self._step(Step.FEED)
            if self.state is State.CLOSED:
                return []
        buffer = self._buffer
        stream: bytes | bytearray = data
        if buffer is not None:
            buffer += data
            stream = buffer
        events: list[Event] = []
        try:
            used = self._consume(stream, events)
        except BrokenRuleError as broken:
            broken.events = events
            self._fail(broken)
        if used == len(stream):
            self._buffer = None
        elif buffer is None:
            self._buffer = bytearray(stream[used:])
        elif used:
            del buffer[:used]
        return events

    # One long loop on purpose: a call for each step would cost as much as the step.
    def _consume(self, stream: bytes | bytearray, events: list[Event]) -> int:  # noqa: C901, PLR0912
        """Read every whole packet, append its event, and give the number of bytes used."""
        state = self.state
        out = self._out
        view: memoryview | None = None
        at, end = 0, len(stream)
        while at < end:
            first = stream[at]
            if first == _PUBACK and state is _CONNECTED and end - at > 3 and stream[at + 1] == 2:
                # The codec would take three times as long for these four bytes.
                entry = self.inflight.pop(stream[at + 2] << 8 | stream[at + 3], None)
                if entry is None:
                    raise BrokenRuleError("PUBACK for a publish that is not under way", PROTOCOL_ERROR)
                self.send_quota += 1
                if self._waiting is not None:
                    self._send_waiting()
                events.append(_new(Acknowledged, (entry[1], 0)))
                at += 4
                continue
            if view is None:
                view = memoryview(stream)
            try:
                packet, size = read(view[at:] if at else view)
            except IndexError:  # the codec's word for: the rest has not come
                self._check_size(declared_size(stream, at))
                return at
            except ValueError as error:
                raise BrokenRuleError(f"malformed packet: {error}", MALFORMED) from None
            at += size
            if self.config.maximum_packet_size is not None:
                self._check_size(size)
            if type(packet) is not PublishPacket or state is not _CONNECTED:
                event = self._answer(packet)
                if event is not None:
                    events.append(event)
                state = self.state
                if state is State.CLOSED:
                    return end
                continue
            alias = packet.topic_alias
            if alias is not None:
                packet = self._resolve_alias(packet, alias)
            packet_id = packet.packet_id
            if packet_id is not None:
                if first & 0x0C:  # QoS 2, or DUP: both are rare, so that others pay one look for the two
                    packet = self._flagged(packet, first)  # type: ignore[assignment] # an event from here on
                if packet_id == 0:
                    raise BrokenRuleError("a message with packet id 0 [MQTT-2.2.1-4]", PROTOCOL_ERROR)
                self._acks_held += 1
                if self._acks_held > self.config.receive_maximum:
                    raise BrokenRuleError(
                        "more messages under way than our receive maximum", RECEIVE_MAXIMUM_EXCEEDED
                    )
                out.append(_pack_puback(_SHORT_PUBACK, packet_id))
            events.append(packet)
        return end
