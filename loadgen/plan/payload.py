"""The header at the start of every payload: who published it, its place in line, and when it was due."""

from __future__ import annotations

import struct

HEADER = struct.Struct(">4sIQIIQ")
"""magic, flags (0), run id, publisher number, sequence number, intended time in monotonic ns; 32 bytes."""

MAGIC = b"LGv1"
HEADER_SIZE = HEADER.size


class PayloadFactory:
    """Makes payloads of one size for one publisher stream.

    The body after the header is the same for every message: pseudo-random text made once, so that a broker
    that compresses sees no unnaturally easy payload, and no time is spent per message.
    """

    __slots__ = ("_body", "run_id")

    def __init__(self, run_id: int, size: int) -> None:
        """Prepare for payloads of `size` bytes, header included.

        Raises:
            ValueError: `size` is smaller than the header.
        """
        if size < HEADER_SIZE:
            raise ValueError(f"a payload needs at least {HEADER_SIZE} bytes for its header")
        self.run_id = run_id
        self._body = body(size - HEADER_SIZE)

    def make(self, publisher: int, sequence: int, intended_ns: int) -> bytes:
        """One payload."""
        return HEADER.pack(MAGIC, 0, self.run_id, publisher, sequence, intended_ns) + self._body


def body(size: int) -> bytes:
    """Printable filler of `size` bytes, the same for the same size."""
    # A linear congruential walk over printable characters: no repeats short enough to matter.
    state = 1
    filler = bytearray(size)
    for place in range(size):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        filler[place] = 33 + (state >> 16) % 94
    return bytes(filler)


def decode(payload: bytes) -> tuple[int, int, int, int] | None:
    """The (run id, publisher, sequence, intended ns) of a payload, or None when it is not one of ours."""
    if len(payload) < HEADER_SIZE or not payload.startswith(MAGIC):
        return None
    _, _, run_id, publisher, sequence, intended = HEADER.unpack_from(payload)
    return run_id, publisher, sequence, intended
