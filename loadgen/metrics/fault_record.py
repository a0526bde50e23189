"""What was done to the nodes in one fault, and when: written by whoever injects it."""

from __future__ import annotations

from dataclasses import dataclass, field

RECOVERY = "recovery"
"""A window closed because all was well again."""
END = "end"
"""A window closed because the run ended."""


@dataclass(slots=True)
class FaultRecord:
    """One fault; times are monotonic ns, 0 is: not (yet)."""

    number: int
    """0-based, in the order of the plan; marks come after the planned ones."""
    name: str
    kind: str
    target: str = ""
    """As the scenario words it: `busiest`, `node-2`; empty where there is none."""
    nodes: tuple[str, ...] = ()
    """Names of the nodes it was done to, as node control has them."""
    endpoints: tuple[str, ...] = ()
    """`host:port` of the same nodes, as the clients know them (`Outage.node`)."""
    injected_ns: int = 0
    """Just before the act; the window opens here."""
    injected_done_ns: int = 0
    """The act is complete."""
    healing_ns: int = 0
    healed_ns: int = 0
    """The nodes serve again."""
    closed_ns: int = 0
    """The window's end."""
    closed_by: str = ""
    """`recovery` or `end`."""
    steps: list[tuple[str, str, int]] = field(default_factory=list)
    """(what, node, ns) of each act as it happened."""
