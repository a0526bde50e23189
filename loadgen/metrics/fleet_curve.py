"""How far a fleet's rate fell in a fault, and for how long: read off its curve in tenths of a second.

The rate before the fault is the yardstick, scaled by the load that the stages ask for. The fleet is *down*
while it does less than 90 % of it, and less than chance explains: three standard deviations of what a bin
held before the fault, or of a Poisson process of that rate if it held steadier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import pstdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TENTH = 100_000_000
"""Nanoseconds of a tenth of a second."""
MOST_BASELINE, LEAST_BASELINE = 300, 30
"""Tenths of a second that a baseline has."""
DOWN_BELOW = 0.9
"""Portion of the baseline under which the fleet is down."""
_LEAST_EXPECTED = 10
"""Messages that a bin must be expected to hold, so that their absence says something."""
_WIDEST = 50
_SIGMAS = 3
_SIGMAS_ALONE = 5
"""A low bin between bins that are not low is chance more easily than two in a row."""
_ENOUGH_BINS = 6
READY = "ready"


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve of the fleet and the load it was asked to carry."""

    metric: str
    """`acknowledged`, `received` or `ready`."""
    counts: Mapping[int, int]
    """By the tenth's number since the run's start."""
    origin: int
    """The run's start, monotonic ns."""
    load: Callable[[int], float]
    """The scheduled load factor at a monotonic time: 1.0 is 100 %; 0 where nothing is published."""

    def tenth(self, at: int) -> int:
        """The tenth that a monotonic time lies in."""
        return (at - self.origin) // TENTH

    def time(self, tenth: int) -> int:
        """When a tenth begins, monotonic ns."""
        return self.origin + tenth * TENTH

    def load_in(self, tenth: int) -> float:
        """The load in the middle of a tenth."""
        return self.load(self.time(tenth) + TENTH // 2)

    def rate(self, tenths: Sequence[int]) -> float | None:
        """What was counted a second in these tenths, or the mean number of ready clients; None of none."""
        if not tenths:
            return None
        total = sum(self.counts.get(each, 0) for each in tenths)
        return total / len(tenths) * (1 if self.metric == READY else 10)

    def busy(self, first: int, last: int, closed: Iterable[tuple[int, int]] = ()) -> list[int]:
        """The tenths from `first` up to `last` that have load and touch no `closed` span.

        Args:
            first: a tenth.
            last: the tenth after the last one.
            closed: spans of monotonic ns, such as the windows of other faults.
        """
        shut = [(self.tenth(start), self.tenth(end)) for start, end in closed]
        return [
            each
            for each in range(max(first, 0), last)
            if each in self.counts
            and self.load_in(each) > 0
            and not any(start <= each <= end for start, end in shut)
        ]


def curve_of(tenths: Mapping[str, Mapping[int, int]], origin: int, load: Callable[[int], float]) -> Curve:
    """The curve that tells most: acknowledged publishes; if there are none received messages, or clients."""
    for metric in ("acknowledged", "received"):
        counts = tenths.get(metric, {})
        if any(counts.values()):
            return Curve(metric, counts, origin, load)
    return Curve(READY, tenths.get(READY, {}), origin, load)


def baseline(curve: Curve, before: int, closed: Iterable[tuple[int, int]] = ()) -> list[int]:
    """The tenths before a fault that say what is normal; empty when there are less than three seconds.

    Args:
        curve: the fleet's curve.
        before: when the fault was injected, monotonic ns.
        closed: windows of other faults, monotonic ns.
    """
    last = curve.tenth(before)
    found = curve.busy(last - MOST_BASELINE, last, closed)
    # Up to the fault without a gap: what lies before another stage or another fault was another world.
    for at in range(len(found) - 1, 0, -1):
        if found[at - 1] != found[at] - 1:
            found = found[at:]
            break
    return found if len(found) >= LEAST_BASELINE else []


@dataclass(frozen=True, slots=True)
class Low:
    """How long the fleet was down, between a fault's injection and its window's end."""

    tenths: int
    """Width of the widest bins among the low ones: the resolution."""
    seconds: float
    """Sum of the low bins."""
    first: int | None
    """Start of the first low bin, monotonic ns; None when there is none."""
    last: int | None
    """End of the last low bin, monotonic ns."""
    lasting: bool
    """The last bin looked at is low: the rate had not come back when the window closed."""
    deepest: float | None
    """The smallest portion of what was expected that a low bin held."""


def lows(curve: Curve, normal: Sequence[int], start: int, end: int) -> Low | None:
    """Find the bins in which the fleet is down.

    Args:
        curve: the fleet's curve.
        normal: the tenths of the baseline.
        start: the fault's injection, monotonic ns.
        end: its window's end, monotonic ns.

    Returns:
        None when it cannot be told: no baseline, or too few messages for any bin of up to 5 s.
    """
    load = sum(curve.load_in(each) for each in normal)
    total = sum(curve.counts.get(each, 0) for each in normal)
    if not total or load <= 0:
        return None
    left = [each for each in range(curve.tenth(start), curve.tenth(end)) if _looked_at(curve, each)]
    if curve.metric == READY:
        return _summed(curve, [_lows_in(curve, normal, left, (1, 0.0), total / len(normal))], start)
    unit = total / load  # of a tenth at 100 %
    # In bins that hold little only a near standstill is no chance: where a part of the fleet is away, wider
    # ones tell. Each looks at what the narrower ones have not called low, so that a short standstill neither
    # hides a long weakness nor makes it out of nothing.
    scales: list[_Scale] = []
    least = 1
    while (chosen := _width(curve, normal, unit, least)) is not None:
        scale = _lows_in(curve, normal, left, chosen, unit)
        scales.append(scale)
        found = {tenth for each in scale.low for tenth in each.tenths}
        left = [each for each in left if each not in found]
        least = 2 * chosen[0]
    return _summed(curve, scales, start) if scales else None


def _looked_at(curve: Curve, tenth: int) -> bool:
    return tenth in curve.counts and curve.load_in(tenth) > 0


def _lows_in(
    curve: Curve, normal: Sequence[int], left: Sequence[int], chosen: tuple[int, float], unit: float
) -> _Scale:
    """Look at the tenths `left` in bins of one width; `unit` is what a tenth holds at 100 %."""
    width, spread = chosen
    load = sum(curve.load_in(each) for each in normal)
    expected_before = unit * width if curve.metric == READY else unit * width * load / len(normal)
    bins: list[_Bin] = []
    for at in range(0, len(left) - width + 1, width):
        tenths = left[at : at + width]
        expected = unit if curve.metric == READY else unit * sum(map(curve.load_in, tenths))
        sigma = max(math.sqrt(expected), spread * expected / expected_before)
        count = sum(curve.counts[each] for each in tenths)
        bins.append(_Bin(tenths, count, expected, 0.0 if curve.metric == READY else sigma))
    beside = {at for at, (a, b) in enumerate(pairwise(bins)) if a.low and b.low}
    beside |= {at + 1 for at in beside}
    low = [each for at, each in enumerate(bins) if each.low and (each.plainly or at in beside)]
    return _Scale(width, low, lasting=bool(low) and bins[-1] is low[-1])


@dataclass(frozen=True, slots=True)
class _Scale:
    """What bins of one width showed."""

    width: int
    low: list[_Bin]
    lasting: bool
    """The last bin is low."""


@dataclass(frozen=True, slots=True)
class _Bin:
    tenths: Sequence[int]
    count: int
    expected: float
    sigma: float

    @property
    def low(self) -> bool:
        """Less than the fleet does by chance."""
        return self.count < min(DOWN_BELOW * self.expected, self.expected - _SIGMAS * self.sigma)

    @property
    def plainly(self) -> bool:
        """So low that it needs no neighbour to be believed."""
        return self.count < self.expected - _SIGMAS_ALONE * self.sigma


def _width(curve: Curve, normal: Sequence[int], unit: float, least: int) -> tuple[int, float] | None:
    """The narrowest bin of `least` tenths or more whose emptiness is no chance, and its deviation."""
    load = sum(curve.load_in(each) for each in normal) / len(normal)
    for width in range(least, _WIDEST + 1):
        expected = unit * width * load
        sums = [
            sum(curve.counts[each] for each in normal[at : at + width])
            for at in range(len(normal) % width, len(normal), width)
        ]
        spread = pstdev(sums) if len(sums) >= _ENOUGH_BINS else 0.0
        if expected >= _LEAST_EXPECTED and _SIGMAS * max(math.sqrt(expected), spread) < expected:
            return width, spread
    return None


def _summed(curve: Curve, scales: Sequence[_Scale], start: int) -> Low:
    low = [each for scale in scales for each in scale.low]
    if not low:
        return Low(scales[0].width, 0.0, None, None, lasting=False, deepest=None)
    return Low(
        max(scale.width for scale in scales if scale.low),
        sum(len(each.tenths) for each in low) / 10,
        max(curve.time(min(each.tenths[0] for each in low)), start),
        curve.time(max(each.tenths[-1] for each in low) + 1),
        lasting=any(scale.lasting for scale in scales),
        deepest=min(each.count / each.expected for each in low),
    )
