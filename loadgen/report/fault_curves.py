"""What the fleet did around each fault, in tenths of a second where there is room for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loadgen.metrics.snapshot import Snapshot

AROUND_S = 10.0
"""Seconds shown before and after a window."""
MAX_POINTS = 400
"""Points of one fault's curves."""
_POINTS_IN_ALL = 4000
"""Of all faults together: with many faults each has fewer, and longer bins."""
_FEWEST_POINTS = 120
CURVES = (("published", "published"), ("acknowledged", "acknowledged"), ("received", "delivered"))
"""Curves of a snapshot that count, with the name each has in a chart."""


@dataclass(frozen=True, slots=True)
class FaultCurve:
    """The fleet around one fault."""

    place: int
    """Index of the fault in the result."""
    name: str
    width: float
    """Seconds that each point sums up."""
    columns: dict[str, list[float]]
    """`time` (seconds since the run's start), rates per second by name, and `ready` clients."""


def seconds_shown(faults: Sequence[Mapping[str, Any]]) -> Callable[[int], bool]:
    """Say which seconds of the run `fault_curves` needs."""
    spans = [span for fault in faults if (span := _span(fault)) is not None]
    # The tenths of a second may come with the next one.
    wanted = [range(first // 10 - 1, last // 10 + 2) for first, last in spans]
    return lambda second: any(second in each for each in wanted)


def fault_curves(timeline: Iterable[Snapshot], faults: Sequence[Mapping[str, Any]]) -> list[FaultCurve]:
    """Give the curves of every fault that has a window and samples."""
    spans = [(place, span) for place, fault in enumerate(faults) if (span := _span(fault)) is not None]
    if not spans:
        return []
    sums: dict[str, dict[int, int]] = {}
    wanted = [range(first, last) for _, (first, last) in spans]
    for snapshot in timeline:
        for name, curve in snapshot.tenths.items():
            kept = sums.setdefault(name, {})
            for tenth, count in curve.items():
                if any(tenth in each for each in wanted):
                    kept[tenth] = kept.get(tenth, 0) + count
    most = max(_FEWEST_POINTS, min(MAX_POINTS, _POINTS_IN_ALL // len(spans)))
    found = [
        _curve(most, place, str(faults[place].get("name") or faults[place].get("kind")), span, sums)
        for place, span in spans
    ]
    return [curve for curve in found if curve.columns["time"]]


def _span(fault: Mapping[str, Any]) -> tuple[int, int] | None:
    """First and last tenth to show, the last one exclusive."""
    window = fault.get("window") or {}
    start, end = window.get("start"), window.get("end")
    if start is None:
        return None
    first = max(math.floor((start - AROUND_S) * 10), 0)
    return first, math.ceil(((end if end is not None else start) + AROUND_S) * 10)


def _curve(
    most: int, place: int, name: str, span: tuple[int, int], sums: Mapping[str, Mapping[int, int]]
) -> FaultCurve:
    first, last = span
    step = math.ceil((last - first) / most)
    columns: dict[str, list[float]] = {key: [] for key in ("time", "ready", *(each for _, each in CURVES))}
    known = sums.get("published", {}).keys() | sums.get("ready", {}).keys()
    for start in range(first, last, step):
        tenths = [tenth for tenth in range(start, min(start + step, last)) if tenth in known]
        if not tenths:
            continue
        columns["time"].append(start / 10)
        for counter, column in CURVES:
            count = sum(sums.get(counter, {}).get(tenth, 0) for tenth in tenths)
            columns[column].append(10 * count / len(tenths))
        columns["ready"].append(float(sums.get("ready", {}).get(tenths[-1], math.nan)))
    return FaultCurve(place, name, step / 10, columns)
