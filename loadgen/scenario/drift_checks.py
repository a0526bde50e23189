"""Checks of `drift` against stages and target: a limit that can never be judged is told before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.drift import ignored, is_steady, judged_stage
from loadgen.scenario.explain import Finding
from loadgen.scenario.suggest import did_you_mean
from loadgen.scenario.units import NS_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.parts import Parts

FEWEST_SAMPLES = 20
"""What a verdict takes (`metrics.trend.FEWEST_POINTS`)."""
_OF_BROKERS = ("broker_memory", "queue_depth")


def check_drift(parts: Parts) -> Iterator[Finding]:
    """Check the stage, how much of it is left, and that somebody tells what is to be judged."""
    drift = parts.drift
    if drift is None or (not drift.limits.set and drift.stage is None):
        return
    if None not in parts.stages:
        yield from _check_stage(parts)
    if parts.target is not None:
        yield from _check_target(parts)


def _check_stage(parts: Parts) -> Iterator[Finding]:
    assert parts.drift is not None
    drift = parts.drift
    named = next((stage for stage in parts.stages if stage and stage.name == drift.stage), None)
    if drift.stage is not None and named is None:
        names = [stage.name for stage in parts.stages if stage is not None and is_steady(stage)]
        mend = did_you_mean(drift.stage, names) or f"name one of {', '.join(names) or 'the hold stages'}"
        yield Finding(("drift", "stage"), f'there is no stage "{drift.stage}"', mend)
        return
    if named is not None and not is_steady(named):
        what = (
            f'"{drift.stage}" is no stage of steady load that is recorded, so what rises there need not creep'
        )
        yield Finding(
            ("drift", "stage"), what, "name a hold stage with a constant load and without record: false"
        )
        return
    stage = judged_stage(drift, parts.stages)
    if stage is None:
        what = "no stage holds a constant load, so nothing can be judged"
        yield Finding(("drift", "limits"), what, "add {name: steady, hold: 4h} to stages")
        return
    left = (stage.hold or 0) - ignored(drift, stage)
    whole = format_duration(stage.hold or 0)
    if left <= 0:
        what = f'nothing is left of stage "{stage.name}", which takes {whole}'
        yield Finding(("drift", "ignore_first"), what, "ignore less of it")
        return
    slowest = NS_PER_S
    if (
        parts.target is not None
        and parts.target.management
        and any(n in drift.limits.set for n in _OF_BROKERS)
    ):
        slowest = max(slowest, parts.target.management.sample_every)
    if left < FEWEST_SAMPLES * slowest:
        what = (
            f'{format_duration(left)} of stage "{stage.name}" are judged, and a verdict takes at least '
            f"{FEWEST_SAMPLES} samples, {format_duration(FEWEST_SAMPLES * slowest)}"
        )
        yield Finding(("drift", "limits"), what, "hold longer, or ignore less of it", warning=True)


def _check_target(parts: Parts) -> Iterator[Finding]:
    assert parts.drift is not None
    assert parts.target is not None
    limits, management = parts.drift.limits.set, parts.target.management
    if "queue_depth" in limits and parts.embedded:
        what = "the embedded broker does not tell how many messages it holds"
        yield Finding(("drift", "limits", "queue_depth"), what, "remove it")
    if parts.embedded:
        return
    for name in _OF_BROKERS:
        if name not in limits:
            continue
        place = ("drift", "limits", name)
        if management is None:
            yield Finding(place, "nobody tells it: the target has no management API", "add target.management")
        elif not management.sample_every:
            yield Finding(
                place, "nobody asks for it: target.management.sample_every is 0s", "write sample_every: 5s"
            )
