"""What a session tells its owner: one small value per thing that happened.

A received message is `mqtt5.PublishPacket` itself, without a wrapper, because that is the hot path.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from mqtt5 import ConnAckPacket, DisconnectPacket, PublishPacket

from loadgen.errors import RemoteProtocolError

Message: TypeAlias = PublishPacket
"""A PUBLISH from the broker; its topic alias is already resolved, its PUBACK already queued."""


class Redelivered(NamedTuple):
    """A QoS 1 message with the DUP flag: the broker has sent it before, on some connection [MQTT-3.3.1-1]."""

    message: Message


class Connected(NamedTuple):
    """The broker accepted the CONNECT."""

    connack: ConnAckPacket
    session_present: bool
    """True when the broker still held this client's session; then subscriptions need no renewal."""
    resent: int
    """Unacknowledged publishes that are sent again (some may wait for the broker's quota)."""
    abandoned: list[object]
    """Tokens of unacknowledged publishes that cannot be sent again, in the order of publishing."""


class Refused(NamedTuple):
    """The broker answered CONNECT with an error; nothing more comes on this connection."""

    reason: int
    """CONNACK reason code, 0x80 or above."""
    connack: ConnAckPacket


class Subscribed(NamedTuple):
    """SUBACK: one reason code per filter, in the order of the filters."""

    packet_id: int
    reasons: tuple[int, ...]
    """0 or 1 is the granted QoS; 0x80 and above is a refusal."""


class Unsubscribed(NamedTuple):
    """UNSUBACK: one reason code per filter, in the order of the filters."""

    packet_id: int
    reasons: tuple[int, ...]


class Acknowledged(NamedTuple):
    """PUBACK for a QoS 1 publish."""

    token: object
    """What `publish()` was given."""
    reason: int
    """0 success; 0x10 nobody subscribed; 0x80 and above: the broker did not take the message."""


class Disconnected(NamedTuple):
    """The broker sent DISCONNECT; it closes the transport next."""

    reason: int
    packet: DisconnectPacket


class Pong(NamedTuple):
    """PINGRESP."""


Event: TypeAlias = (
    Connected
    | Refused
    | Subscribed
    | Unsubscribed
    | Acknowledged
    | Disconnected
    | Pong
    | Redelivered
    | Message
)


class BrokenRuleError(RemoteProtocolError):
    """The broker broke the protocol; tells which reason code fits and what came before."""

    def __init__(self, what: str, reason: int) -> None:
        """Keep the DISCONNECT reason code that MQTT gives this fault, for example 0x93."""
        super().__init__(f"{what} [0x{reason:02X}]")
        self.reason = reason
        self.events: list[Event] = []
        """Events of the same bytes that came before the fault; they happened and must be counted."""
