"""What one client asks for in its CONNECT."""

from __future__ import annotations

from dataclasses import dataclass, field

from mqtt5 import ConnectPacket, Will

from loadgen.errors import LocalProtocolError

MAXIMUM_ID = 65_535
"""Largest packet id, receive maximum, keep-alive and topic alias: all are two bytes wide."""
MAXIMUM_PACKET = 268_435_460
"""Bytes of the largest packet MQTT can frame: 256 MiB - 1 of content and 5 of header [§2.1.4]."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The CONNECT of one client, sent alike at every reconnect.

    Raises:
        LocalProtocolError: a number is outside what its field on the wire can carry.
    """

    client_id: str
    """May be empty: then the broker assigns one."""
    clean_start: bool = True
    session_expiry: int = 0
    """Seconds the broker keeps the session after the connection is gone; 0xFFFFFFFF is for ever."""
    keep_alive: int = 60
    """Seconds; 0 turns keep-alive off."""
    receive_maximum: int = MAXIMUM_ID
    """QoS 1 messages the broker may have under way to us."""
    topic_alias_maximum: int = 0
    """Topic aliases the broker may use towards us."""
    maximum_packet_size: int | None = None
    """Bytes of the largest packet we take; None is no limit."""
    user_properties: tuple[tuple[str, str], ...] = ()
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None

    def __post_init__(self) -> None:
        """Refuse what would not fit on the wire while it can still be named."""
        for name, value, least, most in (
            ("session_expiry", self.session_expiry, 0, 0xFFFF_FFFF),
            ("keep_alive", self.keep_alive, 0, MAXIMUM_ID),
            ("receive_maximum", self.receive_maximum, 1, MAXIMUM_ID),
            ("topic_alias_maximum", self.topic_alias_maximum, 0, MAXIMUM_ID),
            ("maximum_packet_size", self.maximum_packet_size or 1, 1, 0xFFFF_FFFF),
        ):
            if not least <= value <= most:
                raise LocalProtocolError(f"{name} is {value}", f"use {least} to {most}")
        if self.maximum_packet_size == 0:
            raise LocalProtocolError("maximum_packet_size is 0", "use None for no limit")

    def connect_packet(self, client_id: str) -> bytes:
        """Give the CONNECT on the wire, under the client id the session goes by now.

        Raises:
            LocalProtocolError: a string is longer than 65,535 bytes.
        """
        try:
            return ConnectPacket(
                client_id,
                username=self.username,
                password=self.password,
                clean_start=self.clean_start,
                will=self.will,
                keep_alive=self.keep_alive,
                session_expiry_interval=self.session_expiry,
                receive_max=self.receive_maximum,
                topic_alias_max=self.topic_alias_maximum,
                max_packet_size=self.maximum_packet_size,
                user_properties=list(self.user_properties),
            ).write()
        except ValueError as error:
            raise LocalProtocolError(f"CONNECT of {client_id[:64]!r} cannot be written: {error}") from None
