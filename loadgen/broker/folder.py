"""Where a local cluster is: the folder with all it consists of, and what others need to reach it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from loadgen.broker import launch
from loadgen.broker.conf import MANAGEMENT_USER
from loadgen.broker.state import ClusterState, NodeState
from loadgen.errors import BrokerError
from loadgen.identity import storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.broker.auth import Auth
    from loadgen.broker.install import RabbitInstall


class ClusterFolder:
    """A cluster's folder; there need not be a cluster in it yet."""

    def __init__(self, directory: Path) -> None:
        """Name the folder; nothing is read or made before it is needed."""
        self.directory = directory.resolve()

    @property
    def exists(self) -> bool:
        """Whether a cluster was brought up here and not purged since."""
        return ClusterState.load(self.directory) is not None

    @property
    def install(self) -> RabbitInstall:
        """The RabbitMQ it runs."""
        return self.load().install

    @property
    def node_names(self) -> tuple[str, ...]:
        """Erlang's names of the nodes, in order: `rabbit1@localhost` and so on."""
        return tuple(node.full_name for node in self.load().nodes)

    @property
    def uris(self) -> tuple[str, ...]:
        """The nodes' MQTT addresses, `mqtts://127.0.0.1:8883` and so on."""
        return tuple(f"mqtts://{node.address}:{node.mqtt_port}" for node in self.load().nodes)

    @property
    def management_uris(self) -> tuple[str, ...]:
        """The nodes' management addresses, `http://127.0.0.1:15672` and so on."""
        return tuple(f"http://{node.address}:{node.management_port}" for node in self.load().nodes)

    @property
    def username(self) -> str:
        """The management user."""
        return MANAGEMENT_USER

    @property
    def password_file(self) -> Path:
        """File (mode 0600) with the management user's password."""
        return self.directory / launch.PASSWORD_FILE

    @property
    def certs(self) -> Path:
        """Folder of the CA that signed the nodes' certificate and whose clients they accept."""
        return self.load().certs

    @property
    def auth(self) -> Auth:
        """What in a certificate becomes user name and client id."""
        return self.load().auth

    @property
    def ca(self) -> Path:
        """The CA certificate, in the copy that the nodes read."""
        return self.directory / "tls" / "ca_certificate.pem"

    @property
    def target_file(self) -> Path:
        """A file for `loadgen run --target`."""
        return self.directory / "target.yaml"

    def load(self) -> ClusterState:
        """Read the cluster's state.

        Raises:
            BrokerError: There is no cluster here, or the file is damaged.
        """
        state = ClusterState.load(self.directory)
        if state is None:
            raise BrokerError(f"there is no cluster in {self.directory}", "`loadgen cluster up` starts one")
        return state

    def live_node(self, name: str) -> NodeState:
        """Find a node that runs.

        Raises:
            BrokerError: No node has this name, or it does not run.
        """
        node = self.load().node(name)
        if not (node.process and node.process.alive()):
            raise BrokerError(f"{node.name} does not run", f"`loadgen cluster start {node.name}`")
        return node

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against other commands; its content is its owner's only."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        with storage.exclusive(self.directory):
            yield

    def write_target(self, state: ClusterState) -> None:
        """Write the target file; JSON strings are YAML strings, so no path needs care."""
        uris = ", ".join(f"mqtts://{node.address}:{node.mqtt_port}" for node in state.nodes)
        management = ", ".join(f"http://{node.address}:{node.management_port}" for node in state.nodes)
        self.target_file.write_text(
            "# The local RabbitMQ cluster: `loadgen run SCENARIO --target THIS-FILE`.\n"
            "kind: rabbitmq\n"
            f"uris: [{uris}]\n"
            f"tls: {{ca: {json.dumps(str(self.ca))}}}\n"
            f"control: {{local: {json.dumps(str(self.directory))}}}\n"
            "management:\n"
            f"  uris: [{management}]\n"
            f"  username: {MANAGEMENT_USER}\n"
            f"  password: {{file: {json.dumps(str(self.password_file))}}}\n"
            f"{state.auth.target()}"
        )
