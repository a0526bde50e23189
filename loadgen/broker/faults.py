"""Faults as the coordinator orders them, and what must be known of a target to do them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Step = Callable[[str, str, int], None]
"""Told of each act as it happens: what (`killed`, `stopping`, `serving` …), node, monotonic ns."""

NEEDS_NODES = frozenset({"kill", "stop", "pause", "drain", "partition", "rolling-restart"})
"""Faults that need control over the nodes' processes or network."""
KINDS = NEEDS_NODES | {"reset", "slow", "run"}
"""Every kind of fault."""


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """One fault with its nodes decided."""

    kind: str
    """One of `KINDS`."""
    nodes: tuple[str, ...] = ()
    """Names out of `NodeControl.node_names()`; empty for `run`."""
    delay: int = 0
    """`slow`: added to each direction, ns."""
    jitter: int = 0
    """`slow`: each piece of data is late by `delay` ± up to this, ns; order is kept."""
    share: float = 1.0
    """`reset`: portion of a node's connections that are closed, above 0 up to 1."""
    command: str = ""
    """`run`: a command line for /bin/sh."""
    heal_command: str = ""
    """`run`: what heals it; may be empty."""
    between: int = 0
    """`rolling-restart`: from the moment a node serves again until the next one goes, ns."""
    graceful: bool = True
    """`rolling-restart`: SIGTERM, else SIGKILL."""
    maintenance: bool = False
    """`rolling-restart`: each node is drained before it goes."""


class NodeControl(Protocol):
    """Does faults to the nodes of one target, and heals them."""

    @property
    def kinds(self) -> frozenset[str]:
        """The faults it can do."""

    def node_names(self) -> tuple[str, ...]:
        """The nodes, in the order of `target.uris`."""

    async def start_proxies(self, nodes: Collection[str]) -> dict[int, tuple[str, int]]:
        """Put a proxy before each of these nodes, so that it can be made slow later.

        Returns:
            index of the node in `target.uris` → host and port to dial instead; before the workers start.
        """

    async def inject(self, order: FaultOrder, step: Step) -> None:
        """Do it; returns when the act is complete (a rolling restart: the whole tour).

        The time of the first step is when the fault began: what has to be prepared comes before it.

        Raises:
            BrokerError: it could not be done, or not wholly; `heal` is due all the same.
        """

    async def heal(self, order: FaultOrder, step: Step) -> None:
        """Undo it; returns when the nodes serve again. Doing it twice, or without need, is no error.

        Raises:
            BrokerError: it could not be undone, or a node does not serve in time.
        """

    async def leader(self) -> str:
        """Name the node that leads most quorum queues, or else the cluster's metadata."""

    async def close(self) -> None:
        """End what it started for itself (proxies); nodes stay as they are."""


class FaultSettings(Protocol):
    """What is asked of a planned fault here; `plan.faults.FaultPlan` has it."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as in FaultPlan
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def targets(self) -> tuple[str, ...]: ...  # noqa: D102


class Address(Protocol):
    """A node's address; `scenario.uri.Uri` is one."""

    @property
    def host(self) -> str: ...  # noqa: D102
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102


class KubernetesSettings(Protocol):
    """`target.control.kubernetes`."""

    @property
    def namespace(self) -> str: ...  # noqa: D102
    @property
    def context(self) -> str | None: ...  # noqa: D102
    @property
    def pods(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def container(self) -> str | None: ...  # noqa: D102


class ControlSettings(Protocol):
    """`target.control`: exactly one of local, compose and kubernetes is set."""

    @property
    def local(self) -> str | None: ...  # noqa: D102
    @property
    def compose(self) -> str | None: ...  # noqa: D102
    @property
    def project(self) -> str | None: ...  # noqa: D102
    @property
    def services(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def kubernetes(self) -> KubernetesSettings | None: ...  # noqa: D102


class ControlledTarget(Protocol):
    """What is asked of a target here; `scenario.target.Target` has it."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def uris(self) -> Sequence[Address]: ...  # noqa: D102
    @property
    def management(self) -> object | None: ...  # noqa: D102
    @property
    def control(self) -> ControlSettings | None: ...  # noqa: D102
