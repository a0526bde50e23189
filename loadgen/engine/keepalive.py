"""Checks clients for silence, each once a second or twice, without a timer per client."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from loadgen.engine.client import Client

_TICKS = 10  # a second, so that a large fleet is checked in ten small portions
_SHORT = 3  # s of keep-alive for which a look once a second would come too late


class KeepAliveWheel:
    """Ten slots, one visited every 100 ms: each client is checked once a second, some twice."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start empty and still."""
        self._loop = loop
        self._slots: list[list[Client]] = [[] for _ in range(_TICKS)]
        self._next = 0
        self._added = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, client: Client) -> None:
        """Check this client from now on."""
        self._slots[self._added % _TICKS].append(client)
        if 0 < client.keep_alive <= _SHORT:
            self._slots[(self._added + _TICKS // 2) % _TICKS].append(client)
        self._added += 1

    def start(self) -> None:
        """Begin to turn."""
        self._timer = self._loop.call_later(1 / _TICKS, self._tick)

    def stop(self) -> None:
        """Turn no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(1 / _TICKS, self._tick)
        now = monotonic_ns()
        # A copy: a client that is given up may change the fleet while we look.
        for client in list(self._slots[self._next]):
            client.check_alive(now)
        self._next = (self._next + 1) % _TICKS
