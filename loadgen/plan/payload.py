"""The header at the start of every payload: who published it, its place in line, and when it was due."""

from __future__ import annotations

import random
import struct

HEADER = struct.Struct(">4sIQIIQ")
"""magic, flags, run id, publisher number, sequence number, intended time in monotonic ns; 32 bytes."""

MAGIC = b"LGv1"
MESSAGE = 0
"""Flags of a message of a stream."""
WILL = 1
"""Flags of a will: its publisher number is its client's number in the run, its sequence and time are 0."""
HEADER_SIZE = HEADER.size


class PayloadFactory:
    """Makes payloads of one size for one publisher stream.

    The body after the header is the same for every message: pseudo-random text made once, so that a broker
    that compresses sees no unnaturally easy payload, and no time is spent per message.
    """

    __slots__ = ("_body", "run_id")

    def __init__(self, run_id: int, size: int, content: bytes | None = None) -> None:
        """Prepare for payloads of `size` bytes, header included; or of the header and `content`.

        Raises:
            ValueError: `size` is smaller than the header.
        """
        if content is None and size < HEADER_SIZE:
            raise ValueError(f"a payload needs at least {HEADER_SIZE} bytes for its header")
        self.run_id = run_id
        self._body = body(size - HEADER_SIZE) if content is None else content

    def make(self, publisher: int, sequence: int, intended_ns: int) -> bytes:
        """One payload."""
        return HEADER.pack(MAGIC, MESSAGE, self.run_id, publisher, sequence, intended_ns) + self._body


def body(size: int) -> bytes:
    """Printable filler of `size` bytes, the same for the same size."""
    return random.Random(1).randbytes(size).translate(_PRINTABLE)


_PRINTABLE = bytes(33 + value % 94 for value in range(256))


def will_payload(run_id: int, client: int, content: bytes) -> bytes:
    """The payload of a client's will."""
    return HEADER.pack(MAGIC, WILL, run_id, client, 0, 0) + content


def decode(payload: bytes) -> tuple[int, int, int, int] | None:
    """The (run id, publisher, sequence, intended ns) of a payload, or None when it is not one of ours."""
    if len(payload) < HEADER_SIZE or not payload.startswith(MAGIC):
        return None
    _, _, run_id, publisher, sequence, intended = HEADER.unpack_from(payload)
    return run_id, publisher, sequence, intended
