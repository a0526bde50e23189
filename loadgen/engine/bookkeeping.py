"""Which stage an operation belongs to: the one it was intended in, whenever it ends.

A message that was due in `steady` and acknowledged in `drain` counts for `steady`; a stall at the end of a
stage cannot slip into the next. What was intended in a stage that is not recorded goes nowhere.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from loadgen.metrics.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.metrics.recorder import GroupRecorder


class StageBooks:
    """Finds the recorder for an intended time; the present stage's in one comparison."""

    def __init__(self, worker: int) -> None:
        """Know no stage yet: until one is entered, everything is recorded as of now."""
        self._worker = worker
        self._starts: list[int] = []
        self._stages: list[tuple[str, bool]] = []
        self._closed: dict[str, Recorder] = {}
        self._present = ""
        self._open = 0
        self._close = 1 << 63

    def announce(self, name: str, start: int, *, record: bool) -> None:
        """Learn of a stage that starts at `start` (monotonic ns) and lasts until the next one.

        To be told before the stage is entered: another worker may enter it first, and its messages arrive.
        """
        place = bisect_right(self._starts, start)
        self._starts.insert(place, start)
        self._stages.insert(place, (name, record))
        if self._present and self._close > start:
            self._close = start

    def enter(self, name: str) -> None:
        """Make an announced stage the present one."""
        self._present = name
        place = max(index for index, (each, _) in enumerate(self._stages) if each == name)
        following = place + 1
        end = self._starts[following] if following < len(self._starts) else 1 << 63
        self._open, self._close = (self._starts[place], end) if self._stages[place][1] else (0, 0)

    def recorder(self, intended: int, present: GroupRecorder) -> GroupRecorder | None:
        """Where to record what was intended at this time (monotonic ns); None: nowhere.

        Args:
            intended: the operation's intended time.
            present: the group's recorder of the present stage.
        """
        if self._open <= intended < self._close:
            return present
        place = bisect_right(self._starts, intended) - 1
        if place < 0:
            return present
        name, record = self._stages[place]
        if not record:
            return None
        if name == self._present:
            return present
        closed = self._closed.get(name)
        if closed is None:
            closed = self._closed[name] = Recorder(self._worker)
        return closed.group(present.name, present.node)

    def closed(self) -> Iterator[tuple[str, Recorder]]:
        """The recorders of stages other than the present one that got something, by stage name."""
        yield from self._closed.items()

    def drain(self) -> None:
        """Fold what was recorded for other stages into histograms."""
        for recorder in self._closed.values():
            recorder.drain()
