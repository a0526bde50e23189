"""Entry point of a worker process: messages come on standard input and go to standard output.

The process ends by itself when its standard input closes, so a killed coordinator leaves no worker behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from loadgen.backend.framing import frame, read_message
from loadgen.backend.worker import Worker
from loadgen.engine.driver import NATIVE, run_with

if TYPE_CHECKING:
    from loadgen.backend.messages import Message

_LINGER = 5.0  # s a worker without coordinator gets to disconnect its clients


class _Output(asyncio.Protocol):
    """Tells when everything is written, or nobody reads any more."""

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)


async def serve(output: int) -> None:
    """Run one worker over standard input and the descriptor `output`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    inbox: asyncio.Queue[Message | None] = asyncio.Queue()

    async def listen() -> None:
        while (message := await read_message(reader)) is not None:
            inbox.put_nowait(message)
        _die_soon()
        inbox.put_nowait(None)

    transport, written = await loop.connect_write_pipe(_Output, os.fdopen(output, "wb", buffering=0))
    listening = loop.create_task(listen())
    await Worker(inbox, lambda message: transport.write(frame(message))).run()
    listening.cancel()
    transport.close()
    await written.closed


def _die_soon() -> None:
    timer = threading.Timer(_LINGER, os._exit, (1,))
    timer.daemon = True
    timer.start()


def main() -> None:
    """Serve, deaf to the terminal's Ctrl-C: the coordinator decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever prints must not get between the messages.
    output = os.dup(1)
    os.dup2(2, 1)
    run_with(sys.argv[1] if len(sys.argv) > 1 else NATIVE, serve(output))


if __name__ == "__main__":
    main()
