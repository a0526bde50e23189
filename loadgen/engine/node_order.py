"""Which node a client tries next."""

from __future__ import annotations

from loadgen.plan.pacer import splitmix64


def next_place(nodes: tuple[int, ...], place: int, order: str | None, attempts: int, chance: int) -> int:
    """The place in `nodes` of the node to try next.

    Args:
        nodes: node numbers in the order in which the client tries them when nothing else is said.
        place: that of the node that was lost or could not be reached.
        order: `round-robin` (the next number), `random` (another one), `in-order` (number 0 first, then 1 …),
            `stick` (the same); None: the next of `nodes`.
        attempts: made since the client was ready.
        chance: what decides at random; the same number gives the same node.
    """
    count = len(nodes)
    if order is None:
        return (place + 1) % count
    if order == "stick" or count == 1:
        return place
    if order == "random":
        return (place + 1 + splitmix64(chance & ((1 << 64) - 1)) % (count - 1)) % count
    return nodes.index(attempts % count if order == "in-order" else (nodes[place] + 1) % count)
