"""Sees when all is well again after a fault: then its window closes."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.faults.fault_run import Outcome
from loadgen.metrics.fault_record import RECOVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.faults.fault_run import FaultRun
    from loadgen.metrics.snapshot import Snapshot

BASELINE_SECONDS = 30
"""The most seconds before a fault that say what the fleet's rate is."""
BASELINE_LEAST = 3
"""With fewer seconds there is no baseline, and the rate is not judged."""
CALM_SECONDS = 2
"""So many good seconds in a row close a window: a cluster that has just come back may cut clients again."""
_JUDGED = ("acknowledged", "received")


@dataclass(frozen=True, slots=True)
class Second:
    """What the fleet did in one second."""

    start_ns: int
    end_ns: int
    hold: bool
    """Whether it lay wholly in a hold stage: only there a rate is due."""
    load: float
    """Load time that passed in it, ns: what was due is in proportion to it."""
    counts: dict[str, int]


@dataclass(slots=True)
class _Watched:
    run: FaultRun
    baseline: dict[str, float]
    """Counter → events for a ns of load time; only what there was enough of."""
    calm: int = 0


@dataclass(slots=True)
class FaultWatch:
    """Looks at each second and closes windows."""

    close: Callable[[FaultRun, str], None]
    """Called with a window that is over, and `recovery`."""
    waits_for_heal: Callable[[FaultRun], bool]
    """Whether a fault's healing is still due before the run's end."""
    away: Callable[[], int] = lambda: 0
    """Clients that lost their connection and are not ready again, now."""
    _calm: deque[Second] = field(default_factory=lambda: deque(maxlen=BASELINE_SECONDS))
    _watched: dict[int, _Watched] = field(default_factory=dict)

    def begin(self, run: FaultRun) -> None:
        """A window opens now: remember how things were before."""
        self._watched[run.record.number] = _Watched(run, _baseline(list(self._calm)))

    def second(self, second: Second) -> None:
        """A second is over, on all workers."""
        if second.hold and not any(watched.run.open for watched in self._watched.values()):
            # In another fault's window the rate is nobody's measure: what was before that one still is.
            self._calm.append(second)
        for watched in list(self._watched.values()):
            run = watched.run
            if not run.open:
                if run.record.closed_ns:
                    del self._watched[run.record.number]
                continue
            watched.calm = watched.calm + 1 if self._good(watched, second) else 0
            long_enough = second.end_ns - run.record.injected_ns >= run.at_least
            if watched.calm >= CALM_SECONDS and long_enough and not self.away():
                self.close(run, RECOVERY)
                del self._watched[run.record.number]

    def _good(self, watched: _Watched, second: Second) -> bool:
        """Whether the fault is over and nothing of it was to be seen in that second."""
        run = watched.run
        if run.outcome is Outcome.INJECTING or self.waits_for_heal(run):
            return False
        if second.start_ns < max(run.record.injected_done_ns, run.record.healed_ns):
            return False
        return not second.hold or not any(
            is_low(second.counts[counter], rate * second.load) for counter, rate in watched.baseline.items()
        )


def is_low(count: float, expected: float) -> bool:
    """Whether a count is below what chance explains, and by more than a tenth."""
    return count < 0.9 * expected and count < expected - 3 * math.sqrt(expected)


def second_of(interval: Snapshot, *, hold: bool, load: float) -> Second:
    """What a finished interval, added up over the workers, tells the watch."""
    counts = {counter: interval.count(counter) for counter in _JUDGED}
    return Second(interval.start_ns, interval.end_ns, hold, load, counts)


def _baseline(calm: list[Second]) -> dict[str, float]:
    load = sum(second.load for second in calm)
    if len(calm) < BASELINE_LEAST or not load:
        return {}
    sums = {counter: sum(second.counts[counter] for second in calm) for counter in _JUDGED}
    return {counter: count / load for counter, count in sums.items() if count}
