"""A run cut into units: the n-th second of a stage is the same unit in every run of a scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_UNITS = 240
"""A longer run is cut into units of several seconds: blocks are longer than those anyhow."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """The units of one stage; blocks are drawn inside it, so that each stage keeps its share."""

    stage: str
    kind: str
    first: int
    """Number of its first unit."""
    units: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The recorded stages of all runs, cut alike."""

    strata: tuple[Stratum, ...]
    seconds: float
    """What a unit lasts in a hold stage."""

    @property
    def size(self) -> int:
        """How many units there are."""
        return sum(each.units for each in self.strata)

    def placing(self, stages: Sequence[Mapping[str, Any]]) -> Placing:
        """How the intervals of one run, of which these are `stages` of the result, fall into the units."""
        spans = {}
        for stage in stages:
            start, length = stage.get("started_at_s"), stage.get("duration")
            if start is not None and length:
                spans[str(stage["name"])] = (float(start), float(length))
        return Placing({each.stage: each for each in self.strata}, spans)


@dataclass(frozen=True, slots=True)
class Placing:
    """See `Grid.placing`."""

    _strata: Mapping[str, Stratum]
    _spans: Mapping[str, tuple[float, float]]

    def unit(self, stage: str, interval: int) -> int | None:
        """The unit of an interval of a stage; None for what is not recorded.

        A stage that took longer than in other runs (a connect stage) is stretched or shrunk, so that no
        sample is left out; what belongs to a stage and came after its end is in its last unit.
        """
        stratum, span = self._strata.get(stage), self._spans.get(stage)
        if stratum is None or span is None:
            return None
        place = math.floor((interval + 0.5 - span[0]) / span[1] * stratum.units)
        return stratum.first + min(max(place, 0), stratum.units - 1)

    def seconds(self) -> dict[str, float]:
        """How long a unit of each stage lasts in this run."""
        return {
            name: self._spans[name][1] / stratum.units
            for name, stratum in self._strata.items()
            if name in self._spans
        }


def grid_of(runs: Sequence[Sequence[Mapping[str, Any]]]) -> Grid:
    """Cut the stages that every run recorded.

    Args:
        runs: `stages` of the result of each run. A stage that is not recorded, or that one of them did not
            reach, is left out.
    """
    lengths: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for number, stages in enumerate(runs):
        reached = {
            str(stage["name"]): float(stage["duration"])
            for stage in stages
            if stage.get("record") is not False and stage.get("duration")
        }
        kinds |= {str(stage["name"]): str(stage["kind"]) for stage in stages}
        lengths = (
            reached
            if not number
            else {name: min(length, reached[name]) for name, length in lengths.items() if name in reached}
        )
    seconds = max(1, math.ceil(sum(lengths.values()) / MOST_UNITS))
    strata: list[Stratum] = []
    first = 0
    for name, length in lengths.items():
        units = max(1, round(length / seconds))
        strata.append(Stratum(name, kinds[name], first, units))
        first += units
    return Grid(tuple(strata), float(seconds))
