"""Checks of faults against sessions and time limits: what is late is no loss, if one waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.explain import Finding
from loadgen.scenario.units import NS_PER_S, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.scenario.faults import Fault
    from loadgen.scenario.groups import Group
    from loadgen.scenario.parts import Parts

LATEST_REDELIVERY = 65 * NS_PER_S
"""RabbitMQ 4.3 returns what a lost consumer of a quorum queue had not acknowledged after 60 s."""
LATEST_CONNACK = 65 * NS_PER_S
"""RabbitMQ answers the CONNECT for a session whose node was lost after 63 s."""
LONG_DRAIN = "70s"

_LOSES_NODES = {"kill", "stop", "pause", "partition", "rolling-restart"}
_ENDS_NODES = {"kill", "stop", "pause"}
_CUTS_CLIENTS = _ENDS_NODES | {"drain", "reset", "rolling-restart"}


def check_failover(parts: Parts) -> Iterator[Finding]:
    """Warn of limits that would make something late look lost, or something meant look like a failure."""
    kept = [name for name, group in parts.groups.items() if group is not None and _is_owed(group)]
    if waits_for_redelivery(parts.faults, parts.groups):
        yield from _check_drain(parts)
    if kept and any(fault is not None and fault.kind in _LOSES_NODES for fault in parts.faults):
        yield from _check_connack(parts)
    for index, fault in enumerate(parts.faults):
        if kept and fault is not None and fault.kind in _ENDS_NODES and fault.heal_after == "end":
            yield Finding(
                ("faults", index, "heal_after"),
                f'what waits on these nodes for the sessions of "{kept[0]}" cannot arrive before the run '
                "ends, and counts as lost",
                "leave heal_after out: it is healed when the drain begins",
                warning=True,
            )
    if any(fault is not None and fault.kind in _CUTS_CLIENTS for fault in parts.faults):
        for name, group in parts.groups.items():
            if group is not None and not group.reconnect.enabled:
                what = "clients that a fault cuts off do not come back, and the run fails for that"
                place = ("groups", name, "reconnect", "enabled")
                yield Finding(place, what, "remove it, or the fault", warning=True)


def waits_for_redelivery(faults: Sequence[Fault | None], groups: Mapping[str, Group | None]) -> bool:
    """Tell whether messages may rightly arrive only a minute after a fault, so that a drain must wait."""
    return (
        any(fault is not None and fault.kind in _LOSES_NODES for fault in faults)
        and any(group is not None and _is_owed(group) for group in groups.values())
        and any(group is not None and group.publish for group in groups.values())
    )


def _is_owed(group: Group) -> bool:
    """Tell whether the broker keeps messages for a client of the group that was cut off."""
    return bool(group.session.expiry) and any(each.qos for each in group.subscribe)


def _check_drain(parts: Parts) -> Iterator[Finding]:
    for index, stage in enumerate(parts.stages):
        if stage is not None and stage.drain is not None and stage.drain < LATEST_REDELIVERY:
            what = (
                "RabbitMQ 4.3 delivers again what a lost node had not finished only after 60s, and this "
                f"waits {format_duration(stage.drain)}"
            )
            mend = f"write drain: {LONG_DRAIN}; it ends as soon as everything has arrived"
            yield Finding(("stages", index, "drain"), what, mend, warning=True)


def _check_connack(parts: Parts) -> Iterator[Finding]:
    common = parts.target.timeouts.connack if parts.target is not None else LATEST_CONNACK
    told = False
    for name, group in parts.groups.items():
        if group is None or not _is_owed(group) or group.session.clean_start or not group.reconnect.resume:
            continue
        own = group.reconnect.connack_timeout
        if own is not None and own < LATEST_CONNACK:
            yield _impatient(("groups", name, "reconnect", "connack_timeout"), own)
        elif own is None and common < LATEST_CONNACK and not told:
            told = True
            yield _impatient(("target", "timeouts", "connack"), common)


def _impatient(place: tuple[str, ...], limit: int) -> Finding:
    what = (
        "RabbitMQ answers the CONNECT for a session whose node was lost only after 63s, and this gives up "
        f"after {format_duration(limit)}"
    )
    return Finding(place, what, "write 70s, or expect time-outs instead of CONNACK 0x83", warning=True)
