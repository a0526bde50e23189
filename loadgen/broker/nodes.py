"""What can be done to the nodes of a target, whatever runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.broker.faults import Address, Step

SERVING_S = 180.0
"""How long a node may take until it serves again after it was healed, seconds."""
CLI_S = 120.0
"""How long one of RabbitMQ's tools may take, seconds."""


class Nodes(Protocol):
    """The nodes of one target; every act takes several nodes and tells of each by `step`.

    Acts on several nodes happen together, not one after another. None blocks the event loop.
    """

    kinds: frozenset[str]
    """Which of `faults.NEEDS_NODES` it can do."""
    names: tuple[str, ...]
    """In the order of `target.uris`."""

    def erlang_host(self, name: str) -> str:
        """Give the part of Erlang's name of the node that tells it from the others."""

    async def kill(self, names: Sequence[str], step: Step) -> None:
        """End them without warning."""

    async def stop(self, names: Sequence[str], step: Step) -> None:
        """End them in an orderly way; returns when they have ended."""

    async def pause(self, names: Sequence[str], step: Step) -> None:
        """Freeze them: connections stay open and nothing answers."""

    async def drain(self, names: Sequence[str], step: Step) -> None:
        """Put them into maintenance mode: clients are sent away, and none is let in."""

    async def partition(self, names: Sequence[str], step: Step) -> None:
        """Cut the links between these nodes and all others."""

    async def bring_back(self, names: Sequence[str], step: Step) -> None:
        """Continue what is frozen and start what does not run; returns when all of them serve."""

    async def revive(self, names: Sequence[str], step: Step) -> None:
        """Take them out of maintenance mode; returns when all of them serve."""

    async def join(self, names: Sequence[str], step: Step) -> None:
        """Undo `partition`; returns when all nodes see one another."""

    async def evaluate(self, name: str, expression: str) -> str:
        """Evaluate an Erlang expression on a node and give the result as text; boots an Erlang machine."""


class UncontrolledNodes:
    """Nodes that only their addresses are known of."""

    kinds: frozenset[str] = frozenset()

    def __init__(self, uris: Sequence[Address]) -> None:
        """Name the nodes by their addresses."""
        self._hosts = {uri.address: uri.host for uri in uris}
        self.names = tuple(self._hosts)

    def erlang_host(self, name: str) -> str:
        """Suppose that Erlang's name has the host of the address, as it mostly does."""
        return self._hosts[name]

    async def kill(self, names: Sequence[str], step: Step) -> None:  # noqa: ARG002 - as Nodes has it
        """Refuse."""
        raise BrokerError(_UNKNOWN, ADD_CONTROL)

    stop = pause = drain = partition = bring_back = revive = join = kill

    async def evaluate(self, name: str, expression: str) -> str:  # noqa: ARG002
        """Refuse."""
        raise BrokerError(_UNKNOWN, ADD_CONTROL)


_UNKNOWN = "nothing is known of the nodes but their addresses"
ADD_CONTROL = (
    "add control: to the target: {local: DIRECTORY}, {compose: FILE, services: […]} or {kubernetes: …}"
)
