"""What one worker saw in one interval: a plain value that adds up over workers and over time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadgen.metrics.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

MERGED = -1
"""The `worker` of a snapshot that was added up from several."""


@dataclass(slots=True)
class Snapshot:
    """Aggregates of one interval, or of any sum of intervals.

    Keys are `metric|group`; a metric of the whole worker has an empty group (`loop_lag|`). Where a threshold
    selects by node, `metric@host:port|group` has the part of it that was measured there. Counters by code
    are `connack_codes:0x86|group`. Gauges are keyed as their meaning needs (`connected|group`, `rss`).
    """

    worker: int = MERGED
    interval: int = -1
    """The k-th interval since the run's start, from 0; -1 only in the empty snapshot."""
    start_ns: int = 0
    """Start of the interval, `monotonic_ns`."""
    end_ns: int = 0
    """End of the interval, `monotonic_ns`."""
    stage: str = ""
    """The stage at the end of the interval."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    tenths: dict[str, dict[int, int]] = field(default_factory=dict)
    """The curves of the fleet: `published`, `acknowledged`, `received` in each tenth of a second (how many)
    and `ready` (how many clients at its end), by the tenth's number since the run's start."""

    def __add__(self, other: Snapshot) -> Snapshot:
        """Add two snapshots: over workers when they are of one interval, over time when not.

        Gauges of one interval add, of two intervals the later's win; so add up the workers of each interval
        first.
        """
        return _merge((self, other), add_gauges=self.interval == other.interval)

    @property
    def seconds(self) -> float:
        """Length of the interval in seconds."""
        return (self.end_ns - self.start_ns) / 1e9

    def select(self, metric: str, group: str | None = None) -> Histogram:
        """Give a metric's histogram of one group, or the sum over all; empty when nothing was recorded."""
        total = Histogram()
        for key in _keys(self.histograms, metric, group):
            total += self.histograms[key]
        return total

    def count(self, counter: str, group: str | None = None) -> int:
        """Give a counter of one group, or its sum over all groups."""
        return sum(self.counters[key] for key in _keys(self.counters, counter, group))

    def codes(self, family: str, group: str | None = None) -> dict[str, int]:
        """Give a family of counters by code (`connack_codes` …), of one group or summed over all."""
        found: dict[str, int] = {}
        for key, count in self.counters.items():
            name, _, of_group = key.partition("|")
            of_family, colon, code = name.partition(":")
            if colon and of_family == family and group in (None, of_group):
                found[code] = found.get(code, 0) + count
        return dict(sorted(found.items()))

    def gauge(self, name: str, group: str | None = None) -> float:
        """Give a gauge of one group, or its sum over all groups; 0 when unknown."""
        return sum(self.gauges[key] for key in _keys(self.gauges, name, group))

    def to_json(self) -> str:
        """Write as one line of JSON; histograms in their compact encoding."""
        return json.dumps(
            {
                "worker": self.worker,
                "interval": self.interval,
                "start_ns": self.start_ns,
                "end_ns": self.end_ns,
                "stage": self.stage,
                "counters": self.counters,
                "gauges": self.gauges,
                "tenths": self.tenths,
                "histograms": {key: histogram.encode() for key, histogram in self.histograms.items()},
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, line: str) -> Snapshot:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The line is cut short or damaged, as the last line of a killed run may be.
        """
        try:
            fields: dict[str, Any] = json.loads(line)
            histograms = {key: Histogram.decode(text) for key, text in fields.pop("histograms").items()}
            tenths = {
                name: {int(tenth): count for tenth, count in curve.items()}
                for name, curve in fields.pop("tenths", {}).items()
            }
            return cls(histograms=histograms, tenths=tenths, **fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"damaged snapshot: {error}") from error


def merge_workers(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the snapshots of several workers for one interval; gauges add too."""
    return _merge(snapshots, add_gauges=True)


def merge_time(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the snapshots of several intervals (a stage, a run); of each gauge the latest value stays."""
    return _merge(sorted(snapshots, key=lambda snapshot: snapshot.interval), add_gauges=False)


def _merge(snapshots: Iterable[Snapshot], *, add_gauges: bool) -> Snapshot:
    """Add up in one pass, so that a long run costs one copy and not one for each interval."""
    total = Snapshot()
    for snapshot in snapshots:
        if snapshot.interval < 0:
            continue
        first = total.interval < 0
        later = snapshot.interval >= total.interval
        total.worker = snapshot.worker if first or snapshot.worker == total.worker else MERGED
        total.start_ns = snapshot.start_ns if first else min(total.start_ns, snapshot.start_ns)
        # Workers enter a stage some microseconds apart; the latest end decides, whatever the order of adding.
        total.end_ns, total.stage = max((total.end_ns, total.stage), (snapshot.end_ns, snapshot.stage))
        total.interval = max(total.interval, snapshot.interval)
        for key, histogram in snapshot.histograms.items():
            if key in total.histograms:
                total.histograms[key] += histogram
            else:
                total.histograms[key] = histogram.copy()
        for key, count in snapshot.counters.items():
            total.counters[key] = total.counters.get(key, 0) + count
        for key, value in snapshot.gauges.items():
            if add_gauges:
                total.gauges[key] = total.gauges.get(key, 0) + value
            elif later or key not in total.gauges:
                total.gauges[key] = value
        _add_curves(total.tenths, snapshot.tenths)
    return total


def merge_curves(snapshots: Iterable[Snapshot]) -> dict[str, dict[int, int]]:
    """Add up the curves (`tenths`) alone: over workers, over time, or both."""
    total: dict[str, dict[int, int]] = {}
    for snapshot in snapshots:
        _add_curves(total, snapshot.tenths)
    return total


def _add_curves(total: dict[str, dict[int, int]], more: dict[str, dict[int, int]]) -> None:
    for name, curve in more.items():
        sums = total.setdefault(name, {})
        for tenth, count in curve.items():
            sums[tenth] = sums.get(tenth, 0) + count


def _keys(table: dict[str, Any], name: str, group: str | None) -> list[str]:
    if group is not None:
        key = f"{name}|{group}"
        return [key] if key in table else []
    # A gauge of the whole worker (`rss`) has no group part at all.
    return [key for key in table if key.partition("|")[0] == name]
