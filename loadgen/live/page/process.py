"""The process of the live page.

It is started by `loadgen.live.web`, inherits a socket that listens, reads on standard input how the run
goes, and ends when that ends and no browser waits for the last word.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from aiohttp import web

from loadgen.live.page.follower import Follower
from loadgen.live.page.server import LivePage

_FAREWELL = 12.0
"""Seconds after the run in which a browser may fetch its last charts."""
_NICE = 10
"""The load goes first: this process takes what the workers leave."""


async def serve(listening: socket.socket, folder: Path, hosts: list[str]) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    follower = Follower(folder)
    page = LivePage(follower, hosts or None)
    runner = web.AppRunner(page.app(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    looking = asyncio.create_task(_look(follower))
    try:
        async for line in lines:
            follower.told(line.decode("utf-8", errors="replace"))
        looking.cancel()
        follower.look()
        deadline = time.monotonic() + _FAREWELL
        while page.waited_for and time.monotonic() < deadline:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(0.1)
    finally:
        looking.cancel()
        await runner.cleanup()


async def _look(follower: Follower) -> None:
    while True:
        follower.look()
        await asyncio.sleep(1.0)


def main(arguments: list[str]) -> None:
    """Serve: the arguments are the socket's descriptor, the run's folder, and the hosts to answer to."""
    # A terminal's Ctrl-C is the run's affair: standard input tells when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    number, folder, *hosts = arguments
    with socket.socket(fileno=int(number)) as listening:
        asyncio.run(serve(listening, Path(folder), hosts))
