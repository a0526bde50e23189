"""Which nodes a fault's words mean: `busiest`, `minority` and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.broker.faults import FaultSettings, NodeControl

WORDS = ("one", "busiest", "leader", "minority", "majority", "all")


async def resolve_targets(
    words: Sequence[str], control: NodeControl, *, connected: Mapping[str, int], chance: int
) -> tuple[str, ...]:
    """Decide on the nodes of a fault.

    Args:
        words: one of `WORDS`, or names of nodes.
        control: whose nodes.
        connected: node name → our clients that are connected there now; a node that is missing has none.
        chance: a random number, which decides where the words leave a choice.

    Returns:
        Names in the order of `control.node_names()`.

    Raises:
        BrokerError: no such node, no minority among so few, or no leader could be found out.
    """
    names = control.node_names()
    if tuple(words) == ("leader",):
        return (await control.leader(),)
    if len(words) != 1 or words[0] not in WORDS:
        chosen = {node_named(word, names) for word in words}
        return tuple(name for name in names if name in chosen)
    if words[0] == "busiest":
        most = max(connected.get(name, 0) for name in names)
        busiest = [name for name in names if connected.get(name, 0) == most]
        return (busiest[chance % len(busiest)],)
    count = how_many(words[0], len(names))
    if not count:
        raise BrokerError(f"there is no minority of {len(names)} nodes", "name a node, or use more nodes")
    first = chance % len(names)
    chosen = {names[(first + step) % len(names)] for step in range(count)}
    return tuple(name for name in names if name in chosen)


def how_many(word: str, nodes: int) -> int:
    """How many of a cluster's nodes a word means."""
    return {"all": nodes, "majority": nodes // 2 + 1, "minority": (nodes - 1) // 2}.get(word, 1)


def node_named(word: str, names: Sequence[str]) -> str:
    """Find a node by its name, or by Erlang's name of it (`rabbit2@localhost` is `rabbit2` locally).

    Raises:
        BrokerError: there is none.
    """
    for name in names:
        if word in (name, name.rpartition(":")[0]) or word.startswith(f"{name}@"):
            return name
    raise BrokerError(f"the target has no node {word}", f"its nodes are {', '.join(names)}")


def nodes_behind_proxies(faults: Sequence[FaultSettings], names: Sequence[str]) -> tuple[str, ...]:
    """Which nodes `slow` may hit, so that they need a proxy from the start; all when a word decides later."""
    wanted: set[str] = set()
    for fault in faults:
        if fault.kind == "slow":
            later = len(fault.targets) == 1 and fault.targets[0] in WORDS
            wanted.update(names if later else (node_named(word, names) for word in fault.targets))
    return tuple(name for name in names if name in wanted)
