"""Checks of faults against the stages that they happen in, and against what the target can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.suggest import did_you_mean
from loadgen.scenario.units import NS_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.faults import Fault
    from loadgen.scenario.parts import Parts
    from loadgen.scenario.stages import Stage

BASELINE = 3 * NS_PER_S
"""Shortest time of load before a fault that what comes after can be compared with, ns."""


def check_faults(parts: Parts) -> Iterator[Finding]:
    """Check names and moments of faults, one by one."""
    seen: set[str] = set()
    for index, fault in enumerate(parts.faults):
        if fault is None:
            continue
        if fault.name in seen:
            what = f'another fault is named "{fault.name}"'
            yield Finding(("faults", index, "name"), what, "use another name")
        seen.add(fault.name)
        if parts.embedded and fault.run is None:
            what = f"the embedded broker is part of the run and has no nodes to {fault.kind}"
            mend = "run against RabbitMQ (loadgen cluster up, --target .loadgen/cluster/target.yaml)"
            yield Finding(("faults", index, fault.kind), what, mend)
        yield from _check_repeat(index, fault)
        yield from _check_moment(index, fault, parts)


def _check_repeat(index: int, fault: Fault) -> Iterator[Finding]:
    if fault.repeat is None or fault.times == 1 or not fault.heals:
        return
    place, every = ("faults", index, "repeat"), fault.repeat.every
    if not isinstance(fault.heal_after, int):
        what = f"is repeated every {format_duration(every)} and not healed in between"
        yield Finding(place, what, "add for example heal_after: 20s")
    elif fault.heal_after >= every:
        healed = format_duration(fault.heal_after)
        what = f"is repeated every {format_duration(every)}, and each time is healed only after {healed}"
        yield Finding(place, what, f"write every: more than {healed}")


def _check_moment(index: int, fault: Fault, parts: Parts) -> Iterator[Finding]:
    """Check that the stage exists and is not over when the fault is due."""
    place = ("faults", index, "at")
    stages = {stage.name: stage for stage in parts.stages if stage is not None}
    stage = stages.get(fault.at.stage)
    if stage is None:
        if None not in parts.stages:
            what = f'there is no stage "{fault.at.stage}"'
            yield Finding(place, what, did_you_mean(fault.at.stage, stages))
        return
    every = fault.repeat.every if fault.repeat is not None else 0
    last = fault.at.offset + (fault.times - 1) * every
    limit = stage.duration or stage.timeout or 0
    if last >= limit:
        when = f"{fault.at}" if fault.times == 1 else f"the last time, {stage.name}+{format_duration(last)},"
        what = f'{when} is not before the end of "{stage.name}", which takes {format_duration(limit)}'
        mend = f"write less than {stage.name}+{format_duration(limit)}"
        yield Finding(place, what, mend if fault.times == 1 else f"repeat less often, or {mend}")
        return
    if stage.kind == "connect":
        yield from _while_connecting(index, fault, stage, last, parts)
    elif stage.kind == "drain":
        yield from _while_draining(index, fault, stage)
    else:
        yield from _check_baseline(index, fault, stage, parts)
    yield from _check_healing(index, fault, stage, last, parts)


def _while_connecting(index: int, fault: Fault, stage: Stage, last: int, parts: Parts) -> Iterator[Finding]:
    place = ("faults", index, "at")
    if stage is parts.stages[0] and not fault.at.offset:
        what = "nobody is connected yet when this stage begins"
        yield Finding(place, what, f"write for example {stage.name}+5s", warning=True)
        return
    groups = parts.groups if stage.groups is None else stage.groups
    known = [found for name in groups if (found := parts.groups.get(name)) is not None]
    clients = sum(group.clients for group in known)
    # Without `groups` it connects those that earlier stages left, so this is the longest it can take.
    takes = round(clients / (stage.connect or 1) * NS_PER_S)
    if last >= takes:
        what = (
            f'"{stage.name}" connects {clients} clients in {takes / NS_PER_S:,.1f}s and then ends: '
            "the fault would not be reached"
        )
        yield Finding(place, what, "write an earlier moment, or one in a stage that holds", warning=True)


def _while_draining(index: int, fault: Fault, stage: Stage) -> Iterator[Finding]:
    if fault.heals and fault.heal_after is None:
        what = f'"{stage.name}" drains, and faults without heal_after are healed when the drain begins'
        yield Finding(("faults", index), what, "add heal_after: 5s, or heal_after: end")
    what = f'"{stage.name}" ends once everything has arrived, perhaps before the fault'
    if fault.at.offset:
        yield Finding(("faults", index, "at"), what, "use a stage that holds", warning=True)


def _check_baseline(index: int, fault: Fault, stage: Stage, parts: Parts) -> Iterator[Finding]:
    before = fault.at.offset
    for each in parts.stages:
        if each is stage:
            break
        before += (each.hold or 0) if each is not None else BASELINE
    if before < BASELINE:
        what = (
            f"there is only {format_duration(before)} of load before it, too little to tell what the fault "
            "changed"
        )
        yield Finding(("faults", index, "at"), what, f"write for example {stage.name}+10s", warning=True)


def _check_healing(index: int, fault: Fault, stage: Stage, last: int, parts: Parts) -> Iterator[Finding]:
    if not isinstance(fault.heal_after, int) or None in parts.stages or stage.duration is None:
        return
    rest = parts.stages[parts.stages.index(stage) :]
    remaining = sum((each.duration or 0) for each in rest if each is not None) - last
    if fault.heal_after > remaining:
        what = (
            f"the run is over {format_duration(remaining)} after the fault, so it is healed then and not "
            f"after {format_duration(fault.heal_after)}"
        )
        yield Finding(("faults", index, "heal_after"), what, "write an earlier moment", warning=True)
