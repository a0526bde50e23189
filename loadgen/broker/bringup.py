"""Bringing nodes up together and waiting until they serve, or telling why they did not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from loadgen.broker import launch, ports
from loadgen.broker.process import wait_until
from loadgen.broker.readiness import serves
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.broker.state import ClusterState, NodeState


def take_internal_ports(state: ClusterState) -> None:
    """Choose free ports for epmd and the links between the nodes, and the addresses that nodes call from."""
    state.epmd_port = ports.internal_block(1 + len(state.nodes), state.nodes[0].mqtt_port)
    for offset, node in enumerate(state.nodes, start=1):
        node.distribution_port = state.epmd_port + offset
        node.link_address = f"127.0.100.{offset}"


def start_nodes(directory: Path, state: ClusterState, nodes: Sequence[NodeState]) -> None:
    """Start nodes together: a lone first node would wait for its peers before it serves."""
    state.save(directory)
    if not (state.epmd and state.epmd.alive()):
        state.epmd = launch.start_epmd(directory, state)
        wait_until(lambda: ports.accepts("127.0.0.1", state.epmd_port), 5.0, 0.02)
    for node in nodes:
        node.process = launch.start_node(directory, state, node)
    state.save(directory)


def await_serving(
    directory: Path, state: ClusterState, nodes: Sequence[NodeState], deadline_s: float
) -> None:
    """Wait until nodes serve and see every live node of the cluster.

    Raises:
        BrokerError: A node ended, or the deadline (seconds) passed; with the nodes' last words.
    """
    password = (directory / launch.PASSWORD_FILE).read_text().strip()
    members = sum(1 for node in state.nodes if node.process and node.process.alive())
    waiting = list(nodes)

    def done() -> bool:
        for node in list(waiting):
            if not (node.process and node.process.alive()):
                raise BrokerError(f"{node.full_name} ended while starting:\n{last_words(directory, node)}")
            if serves(node, members, password):
                waiting.remove(node)
        return not waiting

    if not wait_until(done, deadline_s, 0.2):
        late = "\n".join(f"{node.full_name}:\n{last_words(directory, node)}" for node in waiting)
        raise BrokerError(f"not serving after {deadline_s:g} s: {late}", f"logs are in {directory}")


def last_words(directory: Path, node: NodeState, lines: int = 12) -> str:
    """Give the end of a node's output and log, indented."""
    words: list[str] = []
    for file in ("output.log", "node.log"):
        with contextlib.suppress(OSError):
            words += (directory / node.name / file).read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line[:300]}" for line in words)
