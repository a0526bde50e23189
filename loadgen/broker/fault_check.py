"""Whether a target can have the faults of a scenario, found out before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.broker.cluster import LocalCluster
from loadgen.broker.fault_targets import WORDS, how_many, node_named
from loadgen.broker.faults import NEEDS_NODES
from loadgen.broker.kubernetes_nodes import KubernetesNodes
from loadgen.broker.local_nodes import node_at
from loadgen.broker.nodes import ADD_CONTROL
from loadgen.broker.packet_filter import why_no_packet_filter
from loadgen.errors import BrokerError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadgen.broker.faults import Address, ControlledTarget, ControlSettings, FaultSettings


def check_faults(
    target: ControlledTarget,
    faults: Sequence[FaultSettings],
    place: Callable[[FaultSettings], str] = lambda fault: f"fault {fault.name}",
) -> list[Problem]:
    """Look whether the target's node control can do these faults; no socket is opened.

    Args:
        target: the target section.
        faults: the planned faults.
        place: tells where a fault stands in the file.

    Returns:
        Every problem, each once.
    """
    if not faults:
        return []
    names: tuple[str, ...] = ()
    if target.kind != "embedded":
        try:
            names = _names(target.control, target.uris)
        except BrokerError as error:
            return [Problem("target.control", error.what, error.mend)]
    problems = {
        Problem(place(fault), what, mend): None
        for fault in faults
        for what, mend in _wrong_with(fault, target, names)
    }
    return list(problems)


def _names(control: ControlSettings | None, uris: Sequence[Address]) -> tuple[str, ...]:
    """Name the nodes as `open_control` will.

    Raises:
        BrokerError: it would not find them.
    """
    if control is None:
        return tuple(uri.address for uri in uris)
    if control.local is not None:
        cluster = LocalCluster(Path(control.local))
        return tuple(node_at(cluster, uri) for uri in uris)
    named, program = tuple(control.services), "docker"
    if control.kubernetes is not None:
        named, program = tuple(control.kubernetes.pods), "kubectl"
    if shutil.which(program) is None:
        raise BrokerError(f"the program {program} is not on PATH", "install it, or remove the faults")
    return named


def _wrong_with(
    fault: FaultSettings, target: ControlledTarget, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    kind, control = fault.kind, target.control
    if kind == "run":
        return
    if target.kind == "embedded":
        yield f"the embedded broker cannot have the fault {kind}", "use a real cluster, or `run:`"
        return
    if kind in NEEDS_NODES and control is None:
        yield f"the fault {kind} needs control over the nodes", ADD_CONTROL
        return
    if kind in NEEDS_NODES and control and control.kubernetes and kind not in KubernetesNodes.kinds:
        able = ", ".join(sorted(KubernetesNodes.kinds))
        yield f"kubectl cannot do {kind} to a pod", f"use {able}, or `run:` with a command of yours"
    if kind == "reset" and target.management is None:
        yield "the fault reset closes connections by the management API", "add target.management"
    if fault.targets == ("leader",) and control is None and target.management is None:
        yield "nobody can be asked for the leader", "add target.management or target.control"
    yield from _wrong_targets(fault, names)
    if kind == "partition":
        yield from _wrong_partition(fault, control, names)


def _wrong_targets(fault: FaultSettings, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    words = [word for word in fault.targets if word in WORDS]
    if len(fault.targets) == 1 and words:
        if not how_many(words[0], len(names)):
            yield f"there is no minority of {len(names)} nodes", "name a node, or use more nodes"
        return
    for word in fault.targets:
        try:
            node_named(word, names)
        except BrokerError as error:
            yield error.what, error.mend


def _wrong_partition(
    fault: FaultSettings, control: ControlSettings | None, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    named = fault.targets[0] if len(fault.targets) == 1 else ""
    count = how_many(named, len(names)) if named in WORDS else len(set(fault.targets))
    if count >= len(names):
        yield "a partition needs a node on either side", "name fewer nodes, or use a cluster of several"
    if control is not None and control.local is not None:
        if reason := why_no_packet_filter():
            yield reason, "run as root with nftables installed"
        elif any(not node.link_address for node in LocalCluster(Path(control.local)).load().nodes):
            yield (
                "the nodes were started by an earlier loadgen, and their links cannot be told apart",
                "`loadgen cluster down`, then `loadgen cluster up`",
            )
