"""The slopes of a run that was killed, out of what it had written: a leak may be what killed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from loadgen.drift_watch import DriftWatch
from loadgen.scenario.model import Scenario

if TYPE_CHECKING:
    from loadgen.store import Run

_SECOND = 1_000_000_000
_LOOSE_ENDS = 2
"""Seconds by which one worker's snapshots may be behind another's."""


def drift_of(run: Run) -> list[dict[str, Any]]:
    """Give `drift` of result.json: as the run would have, had it ended with its last interval."""
    try:
        scenario = Scenario.model_validate(run.scenario)
    except ValidationError:  # of another version of loadgen
        return []
    origin = run.origin_ns
    watch = DriftWatch(scenario)
    watch.begin(origin)
    for stage in run.stages:
        watch.enter(stage.name, origin + round(stage.start * _SECOND))
        watch.leave(stage.name, origin + round(stage.end * _SECOND))
    windows = [(fault.start, fault.end) for fault in run.faults]

    def disturbed(ns: int) -> bool:
        at = (ns - origin) / _SECOND
        return any(start <= at <= end for start, end in windows)

    # Of its last seconds not every worker's part may be there, and a sum over some of them is no slope's.
    last = run.span.stop - _LOOSE_ENDS
    for interval in run.intervals(lambda number: number < last):
        watch.second(interval, disturbed=disturbed(interval.start_ns) or disturbed(interval.end_ns))
    for sample in run.broker_samples():
        watch.brokers(sample, disturbed=disturbed(sample.ns))
    return watch.rows()
