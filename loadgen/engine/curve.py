"""The fleet's curves in tenths of a second, without a look at any single message."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loadgen.metrics.recorder import Recorder

TENTH = 100_000_000
COUNTED = ("published", "acknowledged", "received")
"""Counters that have a curve."""
READY = "ready"


class Curve:
    """Looks at the counters ten times a second, and tells how much of each belongs to which tenth.

    A look that comes late is taken at its real time: what was counted since the one before is spread evenly
    over the time between the two.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, recorder: Recorder, ready: Callable[[], int]) -> None:
        """Follow `recorder`'s counters and the number of clients that `ready()` gives."""
        self._loop = loop
        self._recorder = recorder
        self._ready = ready
        self._timer: asyncio.TimerHandle | None = None
        self._origin = 0
        self._tenth = 0
        """The tenth that is not over yet, counted from the origin."""
        self._looked_at = 0
        self._base = [0] * len(COUNTED)
        """What was counted in intervals that are over."""
        self._counts = [0] * len(COUNTED)
        """What was counted until the last look."""
        self._edge = [0] * len(COUNTED)
        """What was counted until the present tenth's start."""
        self._over: dict[str, dict[int, int]] = {}

    def start(self, origin: int) -> None:
        """Begin; tenths are counted from `origin` (monotonic ns)."""
        self._origin = self._looked_at = origin
        self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        wait = self._origin + (self._tenth + 1) * TENTH - monotonic_ns()
        self._timer = self._loop.call_later(max(wait / 1e9, 0.001), self._tick)

    def _tick(self) -> None:
        now = monotonic_ns()
        if now >= self._origin + (self._tenth + 1) * TENTH:  # else the loop woke us a little early
            self._look(now)
        self._arm()

    def _look(self, now: int) -> None:
        counts = [base + self._recorder.count(name) for base, name in zip(self._base, COUNTED, strict=True)]
        ready = -1
        while (end := self._origin + (self._tenth + 1) * TENTH) <= now:
            ready = self._ready() if ready < 0 else ready
            for place, name in enumerate(COUNTED):
                before = self._counts[place]
                until = before + (counts[place] - before) * (end - self._looked_at) // (now - self._looked_at)
                self._over.setdefault(name, {})[self._tenth] = until - self._edge[place]
                self._edge[place] = until
            self._over.setdefault(READY, {})[self._tenth] = ready
            self._tenth += 1
        self._counts, self._looked_at = counts, now

    def interval_ends(self, *, last: bool = False) -> dict[str, dict[int, int]]:
        """Give the tenths that are over; to be called just before the recorder starts from zero again.

        Args:
            last: the run is over: the tenth that has begun is given as well, short as it is.
        """
        self._look(monotonic_ns())
        if last:
            for place, name in enumerate(COUNTED):
                self._over.setdefault(name, {})[self._tenth] = self._counts[place] - self._edge[place]
            self._over.setdefault(READY, {})[self._tenth] = self._ready()
        self._base = self._counts
        over, self._over = self._over, {}
        return over
