"""Dear steps, one in each turn of the loop: a storm of handshakes leaves room for timers and messages.

A step of a TLS handshake takes a millisecond or two. When hundreds of sockets get an answer between two looks
at them, the loop would go through all of them before anything else gets a turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Waiting(Protocol):
    """Who has a dear step to take."""

    def take_turn(self) -> None:
        """Take it; nothing when it was taken already."""


class Turns:
    """The queue of those who wait for a turn, first come, first served."""

    __slots__ = ("_loop", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nobody waits."""
        self._loop = loop
        self._queue: deque[Waiting] = deque()

    def wait(self, waiting: Waiting) -> None:
        """Let somebody take a step in a turn of its own."""
        self._queue.append(waiting)
        if len(self._queue) == 1:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        try:
            self._queue[0].take_turn()
        finally:  # a step that raises must not hold up the others
            self._queue.popleft()
            if self._queue:
                # Timers and sockets get their turn before the loop comes to this.
                self._loop.call_soon(self._next)
