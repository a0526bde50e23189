"""Drives a shard's pacers from the event loop: one timer for all of them, no task per message."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from loadgen.engine.stream import Stream
    from loadgen.plan.pacer import Pacer
    from loadgen.plan.schedule import Segment

_BURST = 5_000_000  # ns of sending before the loop gets to read again
_FINEST = 0.001  # s; the loop counts in milliseconds, and rounds less to a busy wait


class PacingDriver:
    """Publishes each stream's messages when they fall due within the current hold stage."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lines: list[tuple[Pacer, list[Stream]]]) -> None:
        """Drive `lines`: each a pacer and the streams its slots stand for."""
        self._loop = loop
        self._lines = lines
        self._segment: Segment | None = None
        self._starts = 0
        self._timer: asyncio.Handle | None = None

    def start(self, segment: Segment, starts_at: int) -> None:
        """Follow `segment`, which starts at `starts_at` (monotonic ns)."""
        self._segment = segment
        self._starts = starts_at
        self._cancel()
        self._run()

    def stop(self) -> None:
        """Publish what fell due before the segment's end, and nothing after."""
        segment, self._segment = self._segment, None
        self._cancel()
        if segment is not None:
            self._send_due(segment, segment.load_to, 1 << 62)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        segment = self._segment
        if segment is None:
            return
        now = monotonic_ns()
        if not self._send_due(segment, segment.load_to, now + _BURST):
            self._timer = self._loop.call_soon(self._run)
            return
        due = min((pacer.due for pacer, _ in self._lines), default=segment.load_to)
        if due < segment.load_to:
            wait = (self._starts + segment.offset(due) - monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(max(wait, _FINEST), self._run)

    def _send_due(self, segment: Segment, load_end: int, deadline: int) -> bool:
        """Send all that is due; False when the deadline came first."""
        starts = self._starts
        now = monotonic_ns()
        for turn, (pacer, streams) in enumerate(self._lines):
            while pacer.due < load_end:
                intended = starts + segment.offset(pacer.due)
                if intended > now:
                    now = monotonic_ns()
                    if intended > now:
                        break
                stream = streams[pacer.pop()]
                if stream.lanes is not None:
                    stream = stream.lanes.choose()
                stream.client.publish(stream, intended)
                if now > deadline:
                    # Too much for one burst: the next line goes first then, so that none starves.
                    self._lines = self._lines[turn + 1 :] + self._lines[: turn + 1]
                    return False
                now = monotonic_ns()
        return True
