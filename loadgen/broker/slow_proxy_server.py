"""The process of the proxies: passes TCP connections on, late when it is told so.

A proxy accepts before it knows whether its node does: a client of a node that is down sees its connection
accepted and reset, not refused. What the proxy cannot delay is the TCP handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import socket
import struct
import sys
from collections import deque
from heapq import heappop, heappush
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Mapping

_BACKLOG = 4096
_ROUND = 500_000
"""The event loop's timers are whole milliseconds: what is due within half of one goes now, ns."""
_RESET = struct.pack("ii", 1, 0)
_FIN, _RST = 0, 1

Piece = bytes | int
"""Data, or how the connection ends."""


class Delays:
    """What is under way, of all connections, in the order in which it is due."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with nothing under way."""
        self._loop = loop
        self._heap: list[tuple[int, int, End]] = []
        self._tie = count()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0
        self.forwarded = 0
        self.late_max = 0

    def put(self, end: End, due: int) -> None:
        """Remember that an end has something due at that monotonic ns."""
        heappush(self._heap, (due, next(self._tie), end))
        if self._timer is None or due < self._next:
            self._arm(due)

    def _arm(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = due
        self._timer = self._loop.call_later(max(0, due - monotonic_ns()) / 1e9, self._fire)

    def _fire(self) -> None:
        self._timer = None
        heap, now = self._heap, monotonic_ns()
        while heap and heap[0][0] <= now + _ROUND:
            due, _, end = heappop(heap)
            self.late_max = max(self.late_max, now - due)
            end.deliver()
        if heap:
            self._arm(heap[0][0])


class Proxy:
    """Before one node."""

    def __init__(self, delays: Delays, host: str, port: int) -> None:
        """Name the node's address."""
        self.delays = delays
        self.target = (host, port)
        self.delay = 0
        self.jitter = 0
        self.dials: set[asyncio.Task[None]] = set()

    def lateness(self) -> int:
        """Choose how late the next piece will be, ns."""
        if not self.jitter:
            return self.delay
        return max(0, self.delay + random.randint(-self.jitter, self.jitter))

    async def listen(self) -> asyncio.Server:
        """Listen on a free port of loopback."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: End(self), "127.0.0.1", 0, backlog=_BACKLOG)

    def dial(self, near: End) -> None:
        """Connect to the node for a client that has come."""
        task = asyncio.get_running_loop().create_task(self._connect(near))
        self.dials.add(task)
        task.add_done_callback(self.dials.discard)

    async def _connect(self, near: End) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: End(self, near), *self.target)
        except OSError:
            near.push(_RST)


class End(asyncio.Protocol):
    """One end of a connection through a proxy; what comes in here goes out at its peer."""

    def __init__(self, proxy: Proxy, near: End | None = None) -> None:
        """Make the client's end, or, with it, the node's."""
        self._proxy = proxy
        self.peer = near
        self.transport: asyncio.Transport | None = None
        self.early: list[Piece] = []
        """Came in before the node's end was there."""
        self.queue: deque[Piece] = deque()
        """Will go out here when it is due."""
        self._last_due = 0
        self._got_fin = self._sent_fin = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the client's end calls the node."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of a class of its own
        if self.peer is None:
            self._proxy.dial(self)
            return
        near = self.peer
        near.peer = self
        for piece in near.early:
            self.push(piece)
        near.early.clear()

    def data_received(self, data: bytes) -> None:
        """Pass on; without delay by the shortest way, for this is what every message goes through."""
        peer = self.peer
        if peer is None or peer.queue or self._proxy.delay or peer.transport is None:
            self._pass_on(data)
            return
        self._proxy.delays.forwarded += 1
        peer.transport.write(data)

    def eof_received(self) -> bool:
        """Pass on that no more will come; the other direction stays open until it ends too."""
        self._got_fin = True
        self._pass_on(_FIN)
        return not self._sent_fin

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on how it ended; an end in order has told so before."""
        if exc is not None or not self._got_fin:
            self._pass_on(_RST)
        self.transport = None

    def pause_writing(self) -> None:
        """Take no more from the other side while this one does not read."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Take more again."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def _pass_on(self, piece: Piece) -> None:
        if self.peer is None:
            self.early.append(piece)
        else:
            self.peer.push(piece)

    def push(self, piece: Piece) -> None:
        """Send out here, as late as the proxy is now and never before what came earlier."""
        if self.transport is None:
            return
        lateness = self._proxy.lateness() if self._proxy.delay else 0
        if not lateness and not self.queue:
            self._write(piece)
            return
        self._last_due = max(self._last_due, monotonic_ns() + lateness)
        self.queue.append(piece)
        self._proxy.delays.put(self, self._last_due)

    def deliver(self) -> None:
        """Send what is due first."""
        self._write(self.queue.popleft())

    def _write(self, piece: Piece) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._proxy.delays.forwarded += 1
        if not isinstance(piece, int):
            transport.write(piece)
        elif piece == _RST:
            wire = transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        else:
            self._sent_fin = True
            if self._got_fin:
                transport.close()
            else:
                transport.write_eof()


async def _serve(nodes: Mapping[str, tuple[str, int]]) -> None:
    loop = asyncio.get_running_loop()
    delays = Delays(loop)
    proxies = {name: Proxy(delays, host, port) for name, (host, port) in nodes.items()}
    servers = {name: await proxy.listen() for name, proxy in proxies.items()}
    _say({"ports": {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}})
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():  # the coordinator's end of the pipe closes when it dies
        order: dict[str, Any] = json.loads(line)
        for name in order.get("nodes", ()):
            proxies[name].delay, proxies[name].jitter = order["delay"], order["jitter"]
        used = resource.getrusage(resource.RUSAGE_SELF)
        _say(
            {
                "cpu": used.ru_utime + used.ru_stime,
                "forwarded": delays.forwarded,
                "late_max": delays.late_max / 1e9,
            }
        )
    os._exit(0)  # the run is over: the kernel closes thousands of connections faster than this loop


def _say(answer: Mapping[str, object]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def main(argument: str) -> None:
    """Serve until standard input ends; `argument` is JSON, name of a node → host and port."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # two descriptors a client
    uvloop.run(_serve(json.loads(argument)))
