"""Checks across the parts: who refers to whom, and the order of the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.groups import NO_IDENTITY
from loadgen.scenario.suggest import did_you_mean
from loadgen.scenario.thresholds import split_known_key, threshold_problems

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from loadgen.scenario.parts import Parts
    from loadgen.scenario.stages import Stage


def check_references(
    parts: Parts,
    metrics: Mapping[str, str] | None,
    selectors: Mapping[str, Collection[str]] | None = None,
) -> Iterator[Finding]:
    """Check groups → identities, stages → groups, thresholds → metrics, groups, stages and faults."""
    for name, group in parts.groups.items():
        if group is not None and group.identity not in (*parts.identities, NO_IDENTITY):
            yield Finding(
                ("groups", name, "identity"),
                f'there is no identity set "{group.identity}"',
                did_you_mean(group.identity, parts.identities) or "add it to identities",
            )
    for name, group in parts.groups.items():
        if group is not None and (group.username is None) != (group.password is None) and not group.refused:
            has, lacks = ("username", "password") if group.password is None else ("password", "username")
            yield Finding(
                ("groups", name, has),
                f"RabbitMQ refuses a client with a {has} and no {lacks}, whatever its certificate",
                f"add {lacks}, or expect: {{connack: 0x86}}",
                warning=True,
            )
    if NO_IDENTITY in parts.identities:
        what = f'"{NO_IDENTITY}" stands for no certificate, and cannot name a set'
        yield Finding(("identities", NO_IDENTITY), what, "use another name")
    yield from _check_thresholds(parts, metrics, selectors)
    for index, stage in enumerate(parts.stages):
        for position, name in enumerate((stage.groups if stage is not None else None) or ()):
            if name not in parts.groups:
                place = ("stages", index, "groups", position)
                yield Finding(place, f'there is no group "{name}"', did_you_mean(name, parts.groups))


def _check_thresholds(
    parts: Parts,
    metrics: Mapping[str, str] | None,
    selectors: Mapping[str, Collection[str]] | None,
) -> Iterator[Finding]:
    for key, index, what, mend in threshold_problems(parts.thresholds, metrics, selectors):
        yield Finding(("thresholds", key) if index is None else ("thresholds", key, index), what, mend)
    groups = ("group", list(parts.groups))
    stages = ("stage", [stage.name for stage in parts.stages if stage is not None])
    faults = ("fault", list(dict.fromkeys(_fault_names(parts))))
    uris = parts.target.uris if parts.target is not None else ()
    nodes = ("node", [f"{uri.host}:{uri.port}" for uri in uris])
    known = {"group": groups, "node": nodes, "stage": stages, "during": faults, "after": faults}
    # What is wrong in itself may have been meant.
    unsure = {
        "group": False,
        "node": parts.target is None,
        "stage": None in parts.stages,
        "fault": None in parts.faults,
    }
    for key in parts.thresholds:
        for selector, value in split_known_key(key).items():
            kind, names = known[selector]
            if value not in names and not unsure[kind]:
                mend = did_you_mean(value, names) or (
                    "write host:port, as in target.uris" if kind == "node" else f"add a {kind} of that name"
                )
                yield Finding(("thresholds", key), f'there is no {kind} "{value}"', mend)


def _fault_names(parts: Parts) -> Iterator[str]:
    for fault in parts.faults:
        if fault is not None:
            yield fault.name
            yield from fault.names


def check_stages(parts: Parts) -> Iterator[Finding]:
    """Check names, order, and that each group is connected exactly once."""
    yield from _check_names(parts.stages)
    stages = [stage for stage in parts.stages if stage is not None]
    if not stages or len(stages) != len(parts.stages):
        return
    if stages[0].kind != "connect":
        yield Finding(
            ("stages", 0),
            f'the first stage must connect, and "{stages[0].name}" is a {stages[0].kind}',
            "put {name: connect, connect: 50/s} first",
        )
    else:
        yield from _check_connects(parts, stages)
    for index, stage in enumerate(stages[:-1]):
        if stage.kind == "drain":
            yield Finding(
                ("stages", index), "a drain must be the last stage", f'move "{stage.name}" to the end'
            )
    publishers = [name for name, group in parts.groups.items() if group is not None and group.publish]
    if publishers and not any(stage.kind == "hold" for stage in stages):
        yield Finding(
            ("stages",),
            f'nothing will be published by "{publishers[0]}", since no stage holds',
            "add {name: steady, hold: 1m}",
            warning=True,
        )


def _check_names(stages: Sequence[Stage | None]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, stage in enumerate(stages):
        if stage is not None and stage.name in seen:
            yield Finding(
                ("stages", index, "name"), f'another stage is named "{stage.name}"', "use another name"
            )
        if stage is not None:
            seen.add(stage.name)


def _check_connects(parts: Parts, stages: Sequence[Stage]) -> Iterator[Finding]:
    connected: dict[str, str] = {}
    for index, stage in enumerate(stages):
        if stage.kind != "connect":
            continue
        place = ("stages", index)
        for position, name in enumerate(stage.groups or ()):
            if name in connected:
                what = f'group "{name}" is connected already by stage "{connected[name]}"'
                yield Finding((*place, "groups", position), what, "remove it here or there")
        names = stage.groups if stage.groups is not None else set(parts.groups) - set(connected)
        if not names:
            yield Finding(
                place, "no group is left to connect", "remove it, or name groups in those before it"
            )
        connected |= dict.fromkeys(names, stage.name)
    for name in parts.groups:
        if name not in connected:
            yield Finding(
                ("groups", name), "no stage connects this group", "name it in groups of a connect stage"
            )
