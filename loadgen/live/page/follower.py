"""Follows one run for the live page: what it is told by the run, and what it reads of the run's folder."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from loadgen.live.growing import GrowingSeries
from loadgen.live.so_far import SoFar, known_at_the_end, standing
from loadgen.live.tail import RunTail
from loadgen.report.thresholds import threshold_lines
from loadgen.scenario.load import load_scenario
from loadgen.store.files import SCENARIO

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.report.series import RunSeries

_NOTES = 200
"""Lines of what happened that are kept."""


class Follower:
    """See the module's docstring; nothing in it waits."""

    def __init__(self, folder: Path) -> None:
        """Follow the run in this folder, from its start."""
        self.folder = folder
        self.scenario = load_scenario(folder / SCENARIO)
        self._tail = RunTail(folder)
        self._so_far = SoFar(self.scenario)
        self._growing = GrowingSeries(self._tail.plan)
        self._second: dict[str, Any] | None = None
        self._end: dict[str, Any] | None = None
        self.notes: list[str] = []
        self.final: dict[str, Any] = {}
        """`result.json`, when the run has ended."""

    def told(self, line: str) -> None:
        """Take a line of the JSON view, by which the run says how it goes."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        kind = said.pop("event", "")
        if kind == "second":
            self._second = said
        elif kind == "end":
            self._end = said
        elif kind in {"note", "warning"}:
            self.notes = [*self.notes, said["text"]][-_NOTES:]

    def look(self) -> None:
        """Read what was added to the folder."""
        self._so_far.take(self._tail.events())
        if not self.final:
            self.final = self._tail.result()
        stages = self._now()["stages"]
        for second in self._tail.seconds(last=bool(self.final)):
            self._growing.add(second, stages)

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run, as far as is known."""
        if self.final:
            return float(self.final.get("duration") or 0.0)
        return float((self._second or {}).get("elapsed_seconds", 0.0))

    def _now(self) -> dict[str, Any]:
        return self.final or self._so_far.result(self.elapsed)

    @property
    def shape(self) -> str:
        """Changes when charts must be drawn anew: there is a line, a stage or a fault that was not there."""
        seen = {
            name
            for _, row in self._growing.rows
            for name, value in row.items()
            if value and not math.isnan(value)
        }
        sums = {key.partition("|")[0] for each in self._growing.by_stage.values() for key in each.histograms}
        return repr((sorted(seen), sorted(sums), self._so_far.shape, bool(self.final)))

    def series(self) -> tuple[RunSeries, dict[str, Any]]:
        """What the report's charts are drawn of: the columns, and the result as far as it is known."""
        result = self._now()
        return self._growing.series(result["stages"]), result

    def rows(self, since: int) -> list[dict[str, float | None]]:
        """The points of the time charts from number `since` on, each with its `time`; null for no sample."""
        nodes = {f"node_{name}": f"node_{place}" for place, name in enumerate(self._growing.nodes)}
        found: list[dict[str, float | None]] = []
        for at, row in self._growing.rows[since:]:
            point: dict[str, float | None] = {"time": at}
            for name, value in row.items():
                point[nodes.get(name, name)] = None if math.isnan(value) else float(f"{value:.6g}")
            found.append(point)
        return found

    def curves(self) -> dict[str, dict[str, list[Any]]]:
        """The distributions so far by metric: `x` is `1 / (1 - quantile)`, `y` seconds, null for 0."""
        series, _ = self.series()
        return {
            name: {
                "x": xs,
                "y": [value or None for value in ys],
                "percentile": [f"{100 - 100 / x:.5g} %" for x in xs],
            }
            for name, (xs, ys) in (series.spectrum | series.phases).items()
        }

    def state(self) -> dict[str, Any]:
        """How the run stands, for the head of the page."""
        if self.final:
            verdict, reasons = self.final.get("verdict", ""), list(self.final.get("reasons") or [])
            lines = threshold_lines(self.final)
            later = [False] * len(lines)
        else:
            found = self._so_far.thresholds(self._growing.by_stage, self.elapsed)
            verdict, reasons = standing(found, self._so_far.saturated(self._growing.by_stage))
            lines = threshold_lines({"thresholds": [each.to_dict() for each in found]})
            later = [known_at_the_end(each) for each in found]
        return {
            "second": self._second,
            "ended": bool(self.final),
            "verdict": verdict,
            "reasons": reasons,
            "thresholds": [
                {
                    "metric": line.metric,
                    "expression": line.expression,
                    "value": "known at the end" if at_the_end else line.value,
                    "verdict": "later" if at_the_end or line.value == "\N{EN DASH}" else line.verdict,
                }
                for line, at_the_end in zip(lines, later, strict=True)
            ],
            "point_seconds": self._growing.width,
            "notes": self.notes[-12:],
            "path": (self._end or {}).get("path", str(self.folder)),
        }
