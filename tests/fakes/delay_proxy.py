"""A TCP proxy on loopback that delays each direction by a fixed time, and can be stalled.

Bandwidth is not limited: everything is read at once and written when it is due. Event loops round their
timers up to whole milliseconds, so the proxy wakes by a Linux timerfd where it can, late by some 0.1 ms.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_NANO = 1_000_000_000
_CLOCK_MONOTONIC = 1
_TIMERFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TIMERFD_ABSOLUTE = 1


class _Timer:
    """Calls back once at an absolute monotonic time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._descriptor = -1
        self._libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(self._libc, "timerfd_create"):
            self._descriptor = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TIMERFD_FLAGS)
        if self._descriptor >= 0:
            loop.add_reader(self._descriptor, self._fire)

    def at(self, due_ns: int) -> None:
        """Call back at `due_ns` of the monotonic clock, in place of any earlier wish."""
        if self._descriptor >= 0:
            wanted = struct.pack("@4l", 0, 0, *divmod(due_ns, _NANO))
            self._libc.timerfd_settime(self._descriptor, _TIMERFD_ABSOLUTE, wanted, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        delay = max(0, due_ns - time.monotonic_ns()) / _NANO
        self._handle = self._loop.call_later(delay, self._callback)

    def close(self) -> None:
        """Never call back again."""
        if self._handle is not None:
            self._handle.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _fire(self) -> None:
        os.read(self._descriptor, 8)
        self._callback()


class DelayProxy:
    """Forwards TCP connections to one target, each direction `delay_s` seconds late.

    Args:
        target_host: where connections are forwarded to.
        target_port: its port.
        delay_s: seconds added to each direction; a round trip takes twice that.
    """

    def __init__(self, target_host: str, target_port: int, delay_s: float) -> None:
        self.target = (target_host, target_port)
        self.delay_ns = round(delay_s * _NANO)
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        """Connections accepted so far."""
        self.forwarded = 0
        """Chunks written on so far, both directions."""
        self.late_ns_total = 0
        self.late_ns_max = 0
        """The most a chunk was late after its due time, outside stalls: the proxy's own error."""
        self._late = False
        self._stalled = False
        self._due: deque[tuple[int, _End, bytes | None]] = deque()
        self._links: set[_End] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._dials: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._timer: _Timer | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._timer = _Timer(loop, self._forward)
        self._server = await loop.create_server(lambda: _End(self, None), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._timer is not None
        self._server.close()
        self.cut()
        for dial in tuple(self._dials):
            dial.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        await self._empty.wait()
        await self._server.wait_closed()
        self._timer.close()

    @property
    def mean_late_s(self) -> float:
        """Mean seconds by which chunks were written after they were due: the proxy's own error."""
        return self.late_ns_total / self.forwarded / _NANO if self.forwarded else 0.0

    def stall(self) -> None:
        """Forward nothing until `resume()`, as if the target's process were stopped; nothing is lost."""
        self._stalled = True

    def resume(self) -> None:
        """Forward again; what fell due meanwhile goes at once."""
        self._stalled = False
        self._late = True
        self._forward()

    def cut(self) -> None:
        """Break every connection at once, with what is still under way."""
        self._due.clear()
        for end in tuple(self._links):
            end.abort()

    def _push(self, to: _End, data: bytes | None) -> None:
        due = time.monotonic_ns() + self.delay_ns
        self._due.append((due, to, data))
        if len(self._due) == 1 and self._timer is not None:
            self._timer.at(due)

    def _forward(self) -> None:
        if self._stalled:
            return
        queue = self._due
        now = time.monotonic_ns()
        while queue and queue[0][0] <= now:
            due, to, data = queue.popleft()
            if data is None:
                to.finish()
                continue
            if to.transport is None or to.transport.is_closing():
                continue
            to.transport.write(data)
            self.forwarded += 1
            if not self._late:
                now = time.monotonic_ns()
                self.late_ns_total += now - due
                self.late_ns_max = max(self.late_ns_max, now - due)
        self._late = False
        if queue and self._timer is not None:
            self._timer.at(queue[0][0])

    def _dial(self, near: _End) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(near))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, near: _End) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _End(self, near), *self.target)
        except OSError:
            near.abort()


class _End(asyncio.Protocol):
    """One end of a forwarded connection; `near` is None for the client's end."""

    def __init__(self, proxy: DelayProxy, near: _End | None) -> None:
        self._proxy = proxy
        self._peer = near
        self.transport: asyncio.Transport | None = None
        self._got_eof = self._sent_eof = False
        self._early: list[bytes] = []
        """What uvloop had read already when reading was paused until the target is connected."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are of a class of their own.
        self.transport = transport = cast("asyncio.Transport", transport)
        self._proxy._links.add(self)
        self._proxy._empty.clear()
        if self._peer is None:
            self._proxy.connections += 1
            transport.pause_reading()  # until the target is connected
            self._proxy._dial(self)
            return
        near = self._peer
        near._peer = self
        if near.transport is None or near.transport.is_closing():
            transport.abort()
        else:
            for data in near._early:
                self._proxy._push(self, data)
            near._early.clear()
            near.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            self._early.append(data)
        else:
            self._proxy._push(self._peer, data)

    def eof_received(self) -> bool:
        if self._peer is None:
            return False
        self._got_eof = True
        self._proxy._push(self._peer, None)
        return not self._sent_eof  # False closes: both directions have ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy._links.discard(self)
        if not self._proxy._links:
            self._proxy._empty.set()
        if self._peer is not None and (exc is not None or not self._got_eof):
            self._peer.abort()

    def finish(self) -> None:
        """Pass on that the other side will send no more."""
        if self.transport is None or self.transport.is_closing():
            return
        self._sent_eof = True
        if self._got_eof:
            self.transport.close()
        else:
            self.transport.write_eof()

    def abort(self) -> None:
        """Break the connection with a reset."""
        if self.transport is None or self.transport.is_closing():
            return
        wire = self.transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
