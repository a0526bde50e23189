"""Node control as the coordinator uses it: one object that does every fault its target can have."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from loadgen.broker.commands import run_command
from loadgen.broker.compose_nodes import ComposeNodes
from loadgen.broker.fault_check import check_faults
from loadgen.broker.fault_targets import node_named, nodes_behind_proxies, resolve_targets
from loadgen.broker.faults import KINDS, FaultOrder, NodeControl, Step
from loadgen.broker.kubernetes_nodes import KubernetesNodes
from loadgen.broker.local_nodes import open_local_nodes
from loadgen.broker.maintenance import METADATA_LEADER, node_of
from loadgen.broker.nodes import Nodes, UncontrolledNodes
from loadgen.broker.resets import close_connections, names_by_erlang
from loadgen.broker.slow_proxy import SlowProxies
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Collection

    from loadgen.broker.faults import Address, ControlledTarget
    from loadgen.broker.management import Management

_NANO = 1_000_000_000
_SESSION_QUEUES = "mqtt-subscription-"


class Control:
    """The `NodeControl` of every kind of target; `open_control` makes one."""

    def __init__(
        self,
        nodes: Nodes,
        uris: tuple[Address, ...],
        management: Management | None,
        client_ids: Collection[str] | None,
    ) -> None:
        """Take what does the work; see `open_control`."""
        self._nodes = nodes
        self._uris = uris
        self._management = management
        self._client_ids = client_ids
        self._proxies: SlowProxies | None = None
        self._running: set[FaultOrder] = set()
        """Commands that were run and not healed since."""

    @property
    def kinds(self) -> frozenset[str]:
        """The faults it can do."""
        always = {"run", "slow"} if self._uris else {"run"}
        return self._nodes.kinds | always | ({"reset"} if self._management else set())

    def node_names(self) -> tuple[str, ...]:
        """The nodes, in the order of `target.uris`."""
        return self._nodes.names

    async def start_proxies(self, nodes: Collection[str]) -> dict[int, tuple[str, int]]:
        """Put a proxy before each of these nodes; see `NodeControl`."""
        names = self.node_names()
        places = {name: names.index(name) for name in nodes}
        self._proxies = SlowProxies()
        started = await self._proxies.start(
            {name: (self._uris[place].host, self._uris[place].port) for name, place in places.items()}
        )
        return {places[name]: where for name, where in started.items()}

    async def inject(self, order: FaultOrder, step: Step) -> None:
        """Do it; see `NodeControl`."""
        if order.kind not in self.kinds:
            raise BrokerError(f"this target cannot have the fault {order.kind}", f"one of {sorted(KINDS)}")
        nodes = order.nodes
        match order.kind:
            case "kill":
                await self._nodes.kill(nodes, step)
            case "stop":
                await self._nodes.stop(nodes, step)
            case "pause":
                await self._nodes.pause(nodes, step)
            case "drain":
                await self._nodes.drain(nodes, step)
            case "partition":
                await self._nodes.partition(nodes, step)
            case "rolling-restart":
                await self._restart(order, step)
            case "reset":
                await self._reset(order, step)
            case "slow":
                await self._slow(nodes, step, order.delay, order.jitter)
            case _:
                self._running.add(order)
                await run_command(order.command, step)

    async def heal(self, order: FaultOrder, step: Step) -> None:
        """Undo it; see `NodeControl`."""
        match order.kind:
            case "kill" | "stop" | "pause":
                await self._nodes.bring_back(order.nodes, step)
            case "drain":
                await self._nodes.revive(order.nodes, step)
            case "rolling-restart":
                # A tour that was broken off may have left a node drained as well; a start revives it.
                await self._nodes.bring_back(order.nodes, step)
            case "partition":
                await self._nodes.join(order.nodes, step)
            case "slow":
                await self._slow(order.nodes, step, 0, 0)
            case "run" if order in self._running:
                if order.heal_command:
                    await run_command(order.heal_command, step)
                self._running.discard(order)

    async def leader(self) -> str:
        """Name the node that leads most quorum queues of sessions, or else the cluster's metadata."""
        if self._management is not None:
            queues = await self._management.queues()
            mapping = await names_by_erlang(self._nodes, self._uris, self._management)
            leading = Counter(
                mapping[row["leader"]]
                for row in queues
                if str(row.get("name")).startswith(_SESSION_QUEUES) and row.get("leader") in mapping
            )
            if leading:
                return max(self.node_names(), key=lambda name: leading[name])
        failures = []
        for name in self.node_names():
            try:
                answer = await self._nodes.evaluate(name, METADATA_LEADER)
            except BrokerError as error:
                failures.append(str(error))
                continue
            if erlang := node_of(answer):
                return node_named(self._known_as(erlang), self.node_names())
            failures.append(f"{name} knows no leader")
        raise BrokerError("no leader could be found out: " + "; ".join(failures))

    async def close(self) -> None:
        """End the proxies; nodes stay as they are."""
        if self._proxies is not None:
            await self._proxies.close()
            self._proxies = None

    def _known_as(self, erlang: str) -> str:
        first, _, host = erlang.partition("@")
        for name in self.node_names():
            known = self._nodes.erlang_host(name)
            if known in (first, host) or host.startswith(f"{known}."):
                return name
        return erlang

    async def _restart(self, order: FaultOrder, step: Step) -> None:
        for place, name in enumerate(order.nodes):
            if place:
                await asyncio.sleep(order.between / _NANO)
            if order.maintenance:
                await self._nodes.drain((name,), step)
            end = self._nodes.stop if order.graceful else self._nodes.kill
            await end((name,), step)
            await self._nodes.bring_back((name,), step)

    async def _reset(self, order: FaultOrder, step: Step) -> None:
        assert self._management is not None
        mapping = await names_by_erlang(self._nodes, self._uris, self._management)
        await close_connections(self._management, mapping, order, self._client_ids, step)

    async def _slow(self, names: Collection[str], step: Step, delay: int, jitter: int) -> None:
        if self._proxies is None:
            if delay:
                raise BrokerError("no proxy was started before these nodes")
            return
        await self._proxies.slow(names, delay, jitter, step)


async def open_control(
    target: ControlledTarget, management: Management | None, *, client_ids: Collection[str] | None = None
) -> NodeControl:
    """Give the control of a target's nodes.

    Args:
        target: the target section.
        management: its management API, for `reset` and `leader`; it stays the caller's.
        client_ids: `reset` closes connections of these clients only; of any MQTT client when None.

    Raises:
        BrokerError: the cluster of `target.control` is not there.
    """
    settings, uris = target.control, tuple(target.uris)
    nodes: Nodes
    if settings is None:
        nodes = UncontrolledNodes(uris)
    elif settings.local is not None:
        nodes = await asyncio.to_thread(open_local_nodes, settings.local, uris)
    elif settings.compose is not None:
        nodes = await asyncio.to_thread(
            ComposeNodes, settings.compose, settings.project, settings.services, uris
        )
    else:
        assert settings.kubernetes is not None
        nodes = KubernetesNodes(settings.kubernetes, uris)
    return Control(nodes, uris, management, client_ids)


__all__ = [
    "Control",
    "FaultOrder",
    "NodeControl",
    "Step",
    "check_faults",
    "nodes_behind_proxies",
    "open_control",
    "resolve_targets",
]
