"""The columns of the report's charts for a run that goes on: each second is read once and then only kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loadgen.metrics.snapshot import Snapshot, merge_time
from loadgen.report.series import MAX_POINTS, RATES, RunSeries, read_series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NODE = "node_"
_EXTREMES = (*(column for _, column in RATES), "connected")
"""Columns whose lowest and highest second is shown when a point sums up several."""


class GrowingSeries:
    """Grows by whole points; a point sums up `width` seconds."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        """Start empty; the plan's duration says how many seconds a point has to sum up."""
        self._plan = plan
        self.width = max(math.ceil(float(plan.get("duration") or 0) / MAX_POINTS), 1)
        """Seconds in a point: a run of the planned length has 600 at most."""
        self._waiting: list[Snapshot] = []
        self._before: Snapshot | None = None
        self._by_stage: dict[str, Snapshot] = {}
        self.rows: list[tuple[float, dict[str, float]]] = []
        """Time (s) and values of each point; the clients of a node are in `node_` and its name."""

    def add(self, second: Sequence[Snapshot], stages: Sequence[Mapping[str, Any]]) -> None:
        """Take one interval, in the parts that stages make of it.

        Args:
            second: what all workers saw.
            stages: as in result.json, as far as is known.
        """
        for part in second:
            if part.stage in self._by_stage:
                _add(self._by_stage[part.stage], part)
            else:
                self._by_stage[part.stage] = merge_time([part])
        self._waiting += second
        if second and (second[-1].interval + 1) % self.width == 0:
            self._close(stages)

    def _close(self, stages: Sequence[Mapping[str, Any]]) -> None:
        """Make a point of the seconds that wait."""
        first = min(snapshot.interval for snapshot in self._waiting)
        point = replace(merge_time(self._waiting), stage="")
        pair = [point] if self._before is None else [self._before, point]
        # With the point before it, so that what is a difference between two (CPU) has a value.
        series = read_series(pair, stages, self._plan)
        nodes = {f"{_NODE}{place}": f"{_NODE}{name}" for place, name in enumerate(series.nodes)}
        values = {nodes.get(name, name): column[-1] for name, column in series.columns.items()}
        if self.width > 1:
            values |= self._of_its_seconds(stages)
        self.rows.append((float(first), values))
        self._before = replace(point, histograms={}, counters={})
        self._waiting = []

    def _of_its_seconds(self, stages: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """What charts show of the seconds in a point: their extremes, and the mean of what was intended."""
        columns = read_series(self._waiting, stages, self._plan).columns
        found = {}
        for name in _EXTREMES:
            values = [value for value in columns[name] if not math.isnan(value)]
            found[f"{name}_low"] = min(values, default=math.nan)
            found[f"{name}_high"] = max(values, default=math.nan)
        if intended := columns.get("intended"):
            found["intended"] = sum(intended) / len(intended)
        return found

    @property
    def by_stage(self) -> Mapping[str, Snapshot]:
        """The sums so far by stage."""
        return self._by_stage

    @property
    def nodes(self) -> list[str]:
        """The nodes that clients were connected to."""
        return sorted(
            {name.removeprefix(_NODE) for _, row in self.rows for name in row if name.startswith(_NODE)}
        )

    def series(self, stages: Sequence[Mapping[str, Any]]) -> RunSeries:
        """Give everything so far as the charts want it."""
        nodes = self.nodes
        whole = read_series(self._by_stage.values(), stages)
        names = {name for _, row in self.rows for name in row}
        columns = {
            name: [row.get(name, math.nan) for _, row in self.rows]
            for name in names
            if not name.startswith(_NODE)
        }
        for place, node in enumerate(nodes):
            columns[f"{_NODE}{place}"] = [row.get(f"{_NODE}{node}", math.nan) for _, row in self.rows]
        time = [at for at, _ in self.rows]
        return replace(whole, time=time, columns=columns, nodes=tuple(nodes), width=self.width)


def _add(total: Snapshot, part: Snapshot) -> None:
    """Add a part of a stage to its sum, in place; curves and gauges are of no use in it."""
    total.end_ns = max(total.end_ns, part.end_ns)
    total.interval = max(total.interval, part.interval)
    for key, histogram in part.histograms.items():
        known = total.histograms.get(key)
        if known is None:
            total.histograms[key] = histogram.copy()
        else:
            known += histogram
    for key, count in part.counters.items():
        total.counters[key] = total.counters.get(key, 0) + count
