"""How long a run's stages were: what a threshold on a rate divides by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.metrics.threshold import RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def durations_of(stages: Sequence[Mapping[str, Any]], now: float | None = None) -> dict[str, float]:
    """Seconds of each stage, and under `RUN` those of the hold stages that are recorded.

    Args:
        stages: `stages` of the result.
        now: seconds since the start of the run, for the stage that goes on; None when it is over.
    """
    durations: dict[str, float] = {}
    recorded = 0.0
    for stage in stages:
        length = stage["duration"]
        if length is None and now is not None:
            length = max(now - stage["started_at_s"], 0.0)
        if length:
            durations[stage["name"]] = length
            recorded += length if stage["kind"] == "hold" and stage["record"] else 0.0
    return durations | {RUN: recorded}
