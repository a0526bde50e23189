"""The rate at which the schedule asks for messages, whatever became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold stage: times in seconds since the start of the run, publishes a second at its ends."""

    start: float
    end: float
    first: float
    last: float

    def messages(self, begin: float, until: float) -> float:
        """How many messages fall due between two moments; the rate is linear in a stage."""
        begin, until = max(begin, self.start), min(until, self.end)
        if until <= begin:
            return 0.0
        slope = (self.last - self.first) / (self.end - self.start)
        return (until - begin) * (self.first + slope * ((begin + until) / 2 - self.start))


def holds(plan: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> list[Hold]:
    """Give the hold stages that ran with the rates that were asked for; empty when it is not known.

    Args:
        plan: plan.json, for the rate at 100 % load.
        stages: `stages` of result.json, for the times; a stage without a duration lasts to the next one.
    """
    rate = plan.get("publish_rate")
    if not rate:
        return []
    loads = {each.get("name"): each.get("load") for each in plan.get("stages") or []}
    found = []
    for place, stage in enumerate(stages):
        start = stage.get("started_at_s")
        end = _end(stage, stages[place + 1 :])
        load = stage.get("load") or loads.get(stage.get("name"))
        if stage.get("kind") != "hold" or start is None or end is None or end <= start or not load:
            continue
        first, _, last = str(load).partition("..")
        found.append(Hold(start, end, rate * _factor(first), rate * _factor(last or first)))
    return found


def _end(stage: Mapping[str, Any], later: Sequence[Mapping[str, Any]]) -> float | None:
    if stage.get("duration") is not None:
        return float(stage["started_at_s"]) + float(stage["duration"])
    following = [float(each["started_at_s"]) for each in later if each.get("started_at_s") is not None]
    return following[0] if following else None


def _factor(percent: str) -> float:
    """Read `50%` as 0.5, as the scenario writes it."""
    return float(percent.strip().removesuffix("%")) / 100
