"""Faults of a local cluster: signals, RabbitMQ's tools, and the packet filter."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.broker import bringup, maintenance, readiness
from loadgen.broker.acts import Act, in_thread
from loadgen.broker.cluster import LocalCluster
from loadgen.broker.faults import NEEDS_NODES
from loadgen.broker.nodes import CLI_S, SERVING_S
from loadgen.broker.packet_filter import Link, PacketFilter
from loadgen.broker.process import wait_until
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.broker.faults import Address, Step
    from loadgen.broker.process import ProcessRef
    from loadgen.broker.state import ClusterState, NodeState

_END_S = 60.0


class LocalNodes:
    """The nodes of a `LocalCluster`; see `nodes.Nodes`."""

    kinds = NEEDS_NODES

    def __init__(self, cluster: LocalCluster, uris: Sequence[Address]) -> None:
        """Find the target's nodes among the cluster's.

        Raises:
            BrokerError: there is no cluster in its folder, or none of its nodes has an address of the target.
        """
        self._cluster = cluster
        self._filter = PacketFilter.of_cluster(cluster.directory)
        self._cuts: dict[tuple[str, ...], set[Link]] = {}
        self.names = tuple(node_at(cluster, uri) for uri in uris)

    def erlang_host(self, name: str) -> str:
        """All nodes are at localhost, so the part before the @ tells them apart."""
        return name

    async def kill(self, names: Sequence[str], step: Step) -> None:
        """SIGKILL."""
        await in_thread(self._end, names, step, signal.SIGKILL, "killed", "")

    async def stop(self, names: Sequence[str], step: Step) -> None:
        """SIGTERM: the nodes close their connections and stop in order."""
        await in_thread(self._end, names, step, signal.SIGTERM, "stopping", "stopped")

    async def pause(self, names: Sequence[str], step: Step) -> None:
        """SIGSTOP."""
        await in_thread(self._pause, names, step)

    async def drain(self, names: Sequence[str], step: Step) -> None:
        """Do as `rabbitmq-upgrade drain` does."""
        await asyncio.gather(
            *(self._maintain(name, step, maintenance.DRAIN, "draining", "drained") for name in names)
        )

    async def partition(self, names: Sequence[str], step: Step) -> None:
        """Drop all packets between these nodes and the others."""
        await in_thread(self._partition, names, step)

    async def bring_back(self, names: Sequence[str], step: Step) -> None:
        """SIGCONT, and a new process for each that has none."""
        await in_thread(self._bring_back, names, step)

    async def revive(self, names: Sequence[str], step: Step) -> None:
        """Do as `rabbitmq-upgrade revive` does."""
        await asyncio.gather(
            *(self._maintain(name, step, maintenance.REVIVE, "reviving", "revived") for name in names)
        )
        await in_thread(self._await, names, step, readiness.serves)

    async def join(self, names: Sequence[str], step: Step) -> None:
        """Let the packets through again."""
        await in_thread(self._join, names, step)

    async def evaluate(self, name: str, expression: str) -> str:
        """Ask by `rabbitmqctl eval`."""
        return await asyncio.to_thread(self._cluster.rabbitmqctl, name, "eval", expression, timeout_s=CLI_S)

    async def _maintain(self, name: str, step: Step, expression: str, first: str, last: str) -> None:
        began = monotonic_ns()
        answer = await self.evaluate(name, expression)
        times = maintenance.moments(answer, same_clock=True, began=began, ended=monotonic_ns())
        step(first, name, times[0])
        step(last, name, times[1])

    # -- in a thread, where waiting is allowed ----------------------------------------------------

    def _end(self, names: Sequence[str], act: Act, number: int, first: str, last: str) -> None:
        processes = self._processes(names)
        for name, process in processes.items():
            now = monotonic_ns()
            process.send(number)
            act.step(first, name, now)
        waiting = dict(processes)

        def ended() -> bool:
            for name in [name for name, process in waiting.items() if not process.alive()]:
                del waiting[name]
                if last:
                    act.step(last, name, monotonic_ns())
            return not waiting

        if not wait_until(ended, _END_S, 0.01):
            raise BrokerError(f"{', '.join(waiting)} did not end within {_END_S:g} s", "see the node's log")

    def _pause(self, names: Sequence[str], act: Act) -> None:
        processes = self._processes(names)
        for name, process in processes.items():
            now = monotonic_ns()
            process.send(signal.SIGSTOP)
            act.step("paused", name, now)
        if not wait_until(lambda: all(each.state() == "T" for each in processes.values()), 5.0, 0.005):
            raise BrokerError(f"{', '.join(names)} cannot be paused")

    def _partition(self, names: Sequence[str], act: Act) -> None:
        state = self._cluster.load()
        inside = [state.node(name) for name in names]
        outside = [node for node in state.nodes if node not in inside]
        if not outside or not all(node.link_address for node in state.nodes):
            raise BrokerError(
                "no links to cut: every node is on one side, or was started by an earlier loadgen",
                "`loadgen cluster down`, then `loadgen cluster up`",
            )
        self._cuts[tuple(names)] = {
            Link(caller.link_address, called.distribution_port)
            for one in inside
            for other in outside
            for caller, called in ((one, other), (other, one))
        }
        now = monotonic_ns()
        self._filter.cut(set().union(*self._cuts.values()))
        for name in names:
            act.step("partitioned", name, now)

    def _join(self, names: Sequence[str], act: Act) -> None:
        self._cuts.pop(tuple(names), None)
        if self._cuts:
            self._filter.cut(set().union(*self._cuts.values()))
        else:
            self._filter.clear()
        now = monotonic_ns()
        for name in names:
            act.step("joined", name, now)
        # Each node must see all others, those that were not cut off too.
        running = [node.name for node in self._cluster.load().nodes if _runs(node)]
        self._await(running, act, readiness.sees)

    def _bring_back(self, names: Sequence[str], act: Act) -> None:
        with self._cluster.alone():
            state = self._cluster.load()
            nodes = [state.node(name) for name in names]
            for node in nodes:
                if node.process and node.process.state() == "T":
                    now = monotonic_ns()
                    node.process.send(signal.SIGCONT)
                    act.step("resumed", node.name, now)
            dead = [node for node in nodes if not (node.process and node.process.alive())]
            if dead:
                now = monotonic_ns()
                bringup.start_nodes(self._cluster.directory, state, dead)
                for node in dead:
                    act.step("starting", node.name, now)
        # The folder is free again, for others may be brought back meanwhile: a node may need them to serve.
        self._await(names, act, readiness.serves)

    def _await(
        self, names: Sequence[str], act: Act, condition: Callable[[NodeState, int, str], bool]
    ) -> None:
        """Wait until nodes serve (or see one another) among those that they can reach."""
        password = self._cluster.password_file.read_text().strip()
        waiting = list(names)

        def done() -> bool:
            state = self._cluster.load()
            for name in list(waiting):
                node = state.node(name)
                if not (node.process and node.process.alive()):
                    words = bringup.last_words(self._cluster.directory, node)
                    raise BrokerError(f"{name} ended while it was waited for:\n{words}")
                if condition(node, self._reachable(node, state), password):
                    waiting.remove(name)
                    act.step("serving", name, monotonic_ns())
            return not waiting or act.given_up.is_set()

        if not wait_until(done, SERVING_S):
            raise BrokerError(
                f"{', '.join(waiting)} did not serve within {SERVING_S:g} s",
                f"logs are in {self._cluster.directory}",
            )

    def _reachable(self, node: NodeState, state: ClusterState) -> int:
        """Count the nodes that run and that no cut keeps from this one, itself among them."""
        cut = set().union(*self._cuts.values()) if self._cuts else set()
        return sum(
            _runs(each) and Link(node.link_address, each.distribution_port) not in cut for each in state.nodes
        )

    def _processes(self, names: Sequence[str]) -> dict[str, ProcessRef]:
        state: ClusterState = self._cluster.load()
        found = {}
        for name in names:
            node = state.node(name)
            if node.process is None or not node.process.alive():
                raise BrokerError(f"{name} does not run", f"`loadgen cluster start {name}`")
            found[name] = node.process
        return found


def open_local_nodes(directory: str, uris: Sequence[Address]) -> LocalNodes:
    """Give the nodes of a folder's cluster; what a run that was killed left cut is joined again.

    Raises:
        BrokerError: as `LocalNodes`.
    """
    cluster = LocalCluster(Path(directory))
    nodes = LocalNodes(cluster, uris)
    PacketFilter.of_cluster(cluster.directory).clear()
    return nodes


def node_at(cluster: LocalCluster, uri: Address) -> str:
    """Find the node of a cluster that listens at an address.

    Raises:
        BrokerError: none does.
    """
    nodes = cluster.load().nodes
    for node in nodes:
        if (node.address, node.mqtt_port) == (uri.host, uri.port):
            return node.name
    known = ", ".join(f"{node.address}:{node.mqtt_port}" for node in nodes)
    raise BrokerError(
        f"{uri.address} is no node of the cluster in {cluster.directory}",
        f"it listens at {known}; use its target file {cluster.target_file}",
    )


def _runs(node: NodeState) -> bool:
    return node.process is not None and node.process.alive() and node.process.state() != "T"
