"""The generator's own health: how late its loop wakes, and what it uses."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from loadgen.metrics.recorder import Recorder

_PERIOD = 0.05  # s; also how often samples are folded into histograms
_PAGE = resource.getpagesize()
_STATM = Path("/proc/self/statm")


class LoopLagProbe:
    """Asks to be woken every 50 ms and records by how much it was late."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, recorder: Recorder, records: Callable[[], bool]
    ) -> None:
        """Record into `recorder` while `records()` says so; fold its samples at every wake."""
        self._loop = loop
        self._recorder = recorder
        self._records = records
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0

    def start(self) -> None:
        """Begin to probe."""
        self._due = monotonic_ns() + int(_PERIOD * 1e9)
        self._timer = self._loop.call_later(_PERIOD, self._woke)

    def stop(self) -> None:
        """Probe no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _woke(self) -> None:
        lag = monotonic_ns() - self._due
        if self._records():
            # The loop's clock counts whole milliseconds and may wake us a little early: no negative lag.
            self._recorder.loop_lag.append(max(lag, 1_000))
        self._recorder.drain()
        self.start()


def give_back_memory() -> None:
    """Return to the system what the C library keeps of memory that was freed: 1 to 2 KB for each handshake.

    Takes 12 ms with 3,000 clients, so it is for moments when nothing is due. Only glibc keeps so much, and
    only it has the call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def process_usage() -> tuple[float, float]:
    """(CPU seconds used so far, resident bytes now) of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    try:
        resident = int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        resident = usage.ru_maxrss * 1024
    return cpu, float(resident)


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
