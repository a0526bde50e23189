"""How long a run takes as planned, and how much of that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Timetable:
    """The stages of a scenario with the seconds each takes: connects at their rate, drains not counted."""

    lengths: dict[str, float]
    """By stage, in order."""

    @classmethod
    def of(cls, scenario: Scenario) -> Timetable:
        """Read the scenario's stages."""
        lengths = {}
        for stage in scenario.stages:
            lengths[stage.name] = 0.0
            if stage.hold:
                lengths[stage.name] = stage.hold / 1e9
            elif stage.connect:
                groups = stage.groups or tuple(scenario.groups)
                clients = sum(scenario.groups[name].clients for name in groups)
                lengths[stage.name] = clients / stage.connect
        return cls(lengths)

    def left(self, stage: str, elapsed: float) -> float | None:
        """Seconds the run still takes when `stage` began `elapsed` seconds ago; None for an unknown stage."""
        if stage not in self.lengths:
            return None
        names = list(self.lengths)
        later = sum(self.lengths[name] for name in names[names.index(stage) + 1 :])
        return max(self.lengths[stage] - elapsed, 0.0) + later
