"""Messages on a pipe: four bytes of length, then a pickle. Both ends are ours and of one version."""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from loadgen.backend.messages import Message

_LENGTH = struct.Struct(">I")


def frame(message: Message) -> bytes:
    """The bytes of one message."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next message, or None at the end of the stream (also in the middle of a message)."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        body = await reader.readexactly(_LENGTH.unpack(head)[0])
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return cast("Message", pickle.loads(body))  # noqa: S301 - the pipe's other end is our own process
