"""What a later command must know of a running cluster, as one JSON file in the cluster's folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from loadgen.broker.auth import Auth
from loadgen.broker.install import RabbitInstall
from loadgen.broker.process import ProcessRef
from loadgen.errors import BrokerError

FILE = "state.json"
QueueType = Literal["classic", "quorum"]
"""What the queues of kept MQTT sessions are."""


@dataclass(slots=True)
class NodeState:
    """One node: its name, where it listens, and its process."""

    name: str
    """Short name, for example `rabbit1`."""
    address: str
    mqtt_port: int
    management_port: int
    distribution_port: int
    process: ProcessRef | None = None
    link_address: str = ""
    """From where it calls the other nodes; empty when it was started before nodes had such an address."""

    @property
    def full_name(self) -> str:
        """Erlang's name of the node, as the management API gives it."""
        return f"{self.name}@localhost"


@dataclass(slots=True)
class ClusterState:
    """The whole cluster."""

    install: RabbitInstall
    nodes: list[NodeState]
    epmd_port: int
    scheduler_threads: int
    certs: Path
    """Folder of the CA that signed the nodes' certificate."""
    epmd: ProcessRef | None = None
    auth: Auth = field(default_factory=Auth)
    """What in a certificate becomes user name and client id."""
    queue_type: QueueType = "classic"
    """Of the sessions that are kept; queues that exist keep theirs."""
    version: int = field(default=1)

    def processes(self) -> list[ProcessRef]:
        """Give the processes of the nodes that were started."""
        return [node.process for node in self.nodes if node.process]

    @property
    def shape(self) -> tuple[object, ...]:
        """What cannot change while the nodes keep their data."""
        places = [(node.address, node.mqtt_port, node.management_port) for node in self.nodes]
        return (self.install, places, self.queue_type)

    def describe(self) -> str:
        """Say in a few words what cluster this is."""
        first = self.nodes[0]
        return (
            f"{len(self.nodes)} nodes of RabbitMQ {self.install.version} on ports "
            f"{first.mqtt_port} and {first.management_port} with certificates from {self.certs}, "
            f"{self.queue_type} queues for kept sessions, {self.auth}"
        )

    def node(self, name: str) -> NodeState:
        """Find a node by its short or its full name."""
        for node in self.nodes:
            if name in (node.name, node.full_name):
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise BrokerError(f"the cluster has no node {name}", f"its nodes are {known}")

    def save(self, directory: Path) -> None:
        """Write the file in one step, so that no reader ever sees half of it."""
        scratch = directory / f".{FILE}.{os.getpid()}"
        scratch.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n")
        scratch.replace(directory / FILE)

    @classmethod
    def load(cls, directory: Path) -> ClusterState | None:
        """Read the file; None when there is no cluster in this folder.

        Raises:
            BrokerError: When the file is not one of ours.
        """
        try:
            data = json.loads((directory / FILE).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise BrokerError(f"cannot read {directory / FILE}: {error}", _MEND) from error
        try:
            root = data["install"]["root"]
            return cls(
                install=RabbitInstall(**{**data["install"], "root": Path(root) if root else None}),
                nodes=[NodeState(**{**node, "process": _process(node["process"])}) for node in data["nodes"]],
                epmd_port=data["epmd_port"],
                scheduler_threads=data["scheduler_threads"],
                certs=Path(data["certs"]),
                epmd=_process(data["epmd"]),
                auth=Auth(**data.get("auth", {})),
                queue_type=data.get("queue_type", "classic"),
            )
        except (KeyError, TypeError) as error:
            raise BrokerError(f"{directory / FILE} is not a cluster's state: {error!r}", _MEND) from error


_MEND = "`loadgen cluster down --purge` ends what runs and removes the folder"


def _process(data: dict[str, Any] | None) -> ProcessRef | None:
    return ProcessRef(**data) if data else None
