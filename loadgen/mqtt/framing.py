"""The few things about MQTT packets on the wire that the codec does not tell."""

from __future__ import annotations

_DUP = 0x08
"""Bit of a PUBLISH's first byte that says it may have been sent before [§3.3.1.1]."""


def declared_size(stream: bytes | bytearray, at: int) -> int:
    """Give the size a packet says it has, header included, or 0 while its header is incomplete.

    Args:
        stream: bytes received.
        at: where the packet starts.
    """
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(stream))):
        length |= (stream[place] & 0x7F) << shift
        if stream[place] < 0x80:
            return place + 1 - at + length
        shift += 7
    return 0


def with_dup(wire: bytes) -> bytes:
    """Give a PUBLISH marked as sent again [MQTT-3.3.1-1]."""
    return bytes((wire[0] | _DUP,)) + wire[1:]
