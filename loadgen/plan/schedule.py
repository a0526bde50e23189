"""From load time to real time: how a stage's load stretches or squeezes the schedule.

Pacers count in *load time*: nanoseconds at 100 % load. A stage with load 50 % lets load time pass at
half speed, a ramp 10%..100% lets it speed up linearly. Every intended time is therefore a pure function
of the plan, and the same for any number of workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """One hold stage on the load-time axis: a linear ramp from `start_load` to `end_load`."""

    load_from: int
    """Load time at the stage's start, ns."""
    duration: int
    """Real length of the stage, ns."""
    start_load: float
    """Load factor at the start (1.0 is 100 %)."""
    end_load: float
    """Load factor at the end."""

    @property
    def load_to(self) -> int:
        """Load time at the stage's end, ns."""
        return self.load_from + round(self.duration * (self.start_load + self.end_load) / 2)

    def offset(self, load_time: int) -> int:
        """Real ns after the stage's start at which `load_time` is reached.

        The caller makes sure that load_from <= load_time < load_to.
        """
        passed = load_time - self.load_from
        if self.start_load == self.end_load:
            return round(passed / self.start_load)
        # passed = a·t + (b - a)·t² / 2D, solved for t in the form that stays exact when a ≈ b.
        slope = (self.end_load - self.start_load) / self.duration
        root = math.sqrt(max(self.start_load * self.start_load + 2 * slope * passed, 0.0))
        if not passed:
            return 0  # also where a ramp from 0 % would divide by nothing
        return min(round(2 * passed / (self.start_load + root)), self.duration)


def segments(holds: list[tuple[int, float, float]]) -> list[Segment]:
    """Lay hold stages, given as (duration ns, start load, end load), one after the other in load time."""
    laid: list[Segment] = []
    load_time = 0
    for duration, start_load, end_load in holds:
        segment = Segment(load_time, duration, start_load, end_load)
        laid.append(segment)
        load_time = segment.load_to
    return laid
