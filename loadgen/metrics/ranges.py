"""Sets of integers kept as sorted, disjoint ranges, so that memory is bounded by gaps and not by numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class RangeSet:
    """A set of integers stored as half-open ranges `[start, stop)`.

    Adding at the end is O(1); adding or discarding elsewhere is O(ranges). The algebra (`|`, `&`, `-`) is
    linear in the number of ranges.
    """

    __slots__ = ("_starts", "_stops")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Build from half-open ranges in any order; they may touch or overlap."""
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            self.add_range(start, stop)

    @classmethod
    def from_list(cls, flat: Sequence[int]) -> RangeSet:
        """Read what `to_list` wrote: `[start, stop, start, stop, …]`.

        Raises:
            ValueError: The list is not a sorted sequence of disjoint, non-empty ranges.
        """
        if len(flat) % 2 or any(a >= b for a, b in pairwise(flat)):
            raise ValueError(f"not a list of sorted disjoint ranges: {flat!r:.80}")
        made = cls()
        made._starts = list(flat[::2])
        made._stops = list(flat[1::2])
        return made

    def to_list(self) -> list[int]:
        """Flatten to `[start, stop, start, stop, …]` for JSON; stops are exclusive."""
        return [edge for pair in zip(self._starts, self._stops, strict=True) for edge in pair]

    def add(self, number: int) -> None:
        """Add one number; O(1) when it follows the last one or lies beyond it."""
        stops = self._stops
        if not stops or number > stops[-1]:
            self._starts.append(number)
            stops.append(number + 1)
        elif number == stops[-1]:
            stops[-1] = number + 1
        else:
            self.add_range(number, number + 1)

    def add_range(self, start: int, stop: int) -> None:
        """Add every number of `[start, stop)`; an empty range adds nothing."""
        if start >= stop:
            return
        # Every range that touches [start, stop) melts into it.
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def discard(self, number: int) -> bool:
        """Take one number out; says whether it was in."""
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number >= self._stops[at]:
            return False
        start, stop = self._starts[at], self._stops[at]
        kept = [(a, b) for a, b in ((start, number), (number + 1, stop)) if a < b]
        self._starts[at : at + 1] = [a for a, _ in kept]
        self._stops[at : at + 1] = [b for _, b in kept]
        return True

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Iterate over the half-open ranges, lowest first."""
        return zip(self._starts, self._stops, strict=True)

    def clip(self, start: int, stop: int) -> RangeSet:
        """Give the part that lies in `[start, stop)`."""
        return self & RangeSet([(start, stop)])

    def count(self, start: int, stop: int) -> int:
        """Count the numbers that lie in `[start, stop)`; O(log ranges + ranges in between)."""
        starts, stops = self._starts, self._stops
        found = 0
        at = bisect_right(stops, start)
        while at < len(starts) and starts[at] < stop:
            found += min(stops[at], stop) - max(starts[at], start)
            at += 1
        return found

    def copy(self) -> RangeSet:
        """Give an independent copy."""
        made = RangeSet()
        made._starts = self._starts.copy()
        made._stops = self._stops.copy()
        return made

    def __or__(self, other: RangeSet) -> RangeSet:
        """Union."""
        small, large = (self, other) if len(self._starts) < len(other._starts) else (other, self)
        made = large.copy()
        for start, stop in small.ranges():
            made.add_range(start, stop)
        return made

    def __and__(self, other: RangeSet) -> RangeSet:
        """Intersection."""
        made = RangeSet()
        i = j = 0
        while i < len(self._starts) and j < len(other._starts):
            start = max(self._starts[i], other._starts[j])
            stop = min(self._stops[i], other._stops[j])
            if start < stop:
                made._starts.append(start)
                made._stops.append(stop)
            if self._stops[i] < other._stops[j]:
                i += 1
            else:
                j += 1
        return made

    def __sub__(self, other: RangeSet) -> RangeSet:
        """Difference: what is in this set and not in the other."""
        if not self._starts or not other._starts:
            return self.copy()
        return self & other.complement(self._starts[0], self._stops[-1])

    def complement(self, start: int, stop: int) -> RangeSet:
        """Give the numbers of `[start, stop)` that are not in this set."""
        made = RangeSet()
        at = start
        for low, high in self.ranges():
            if low >= stop:
                break
            if low > at:
                made._starts.append(at)
                made._stops.append(low)
            at = max(at, high)
        if at < stop:
            made._starts.append(at)
            made._stops.append(stop)
        return made

    def __contains__(self, number: int) -> bool:
        """Whether a number is in the set; O(log ranges)."""
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._stops[at]

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers themselves, lowest first."""
        for start, stop in self.ranges():
            yield from range(start, stop)

    def __len__(self) -> int:
        """Count the numbers in the set."""
        return sum(self._stops) - sum(self._starts)

    def __bool__(self) -> bool:
        """Whether any number is in the set; O(1)."""
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        """Two sets are equal when they hold the same numbers."""
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """Show the ranges."""
        return f"RangeSet({list(self.ranges())})"
