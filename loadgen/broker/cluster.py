"""A cluster of real RabbitMQ nodes on this machine: plain processes on 127.0.0.1, .2 and so on.

Everything the cluster is lies in one folder (configuration, certificates, data, logs, `state.json`), so that
a later command finds it again. Each node listens on its own loopback address, all on the same ports, as a
cluster of three machines would.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loadgen.broker import launch, ports
from loadgen.broker.conf import MANAGEMENT_USER
from loadgen.broker.install import find_rabbitmq, why_root_cannot_run
from loadgen.broker.process import end_all, processes_of, wait_until
from loadgen.broker.readiness import serves
from loadgen.broker.state import ClusterState, NodeState
from loadgen.errors import BrokerError
from loadgen.identity import storage
from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.install import RabbitInstall

DEFAULT_DIRECTORY = Path(".loadgen/cluster")
DEFAULT_CERTS = Path("certs/out")
MQTT_PORT = 8883
MANAGEMENT_PORT = 15672
_GRACE_S = 30.0

Condition = Literal["serving", "starting", "paused", "down"]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How one node does."""

    name: str
    """Erlang's name, for example `rabbit1@localhost`, as the management API gives it."""
    address: str
    mqtt_port: int
    management_port: int
    pid: int | None
    """Process id; None when the node does not run."""
    condition: Condition
    version: str

    @property
    def running(self) -> bool:
        """Whether it has a process that is not stopped by a signal."""
        return self.condition in ("serving", "starting")


class LocalCluster:
    """The cluster whose files are in one folder; there need not be one yet."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        """Name the folder; nothing is read or made before it is needed."""
        self.directory = directory.resolve()

    # ---- where it is ----------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        """Whether a cluster was brought up here and not purged since."""
        return ClusterState.load(self.directory) is not None

    @property
    def install(self) -> RabbitInstall:
        """The RabbitMQ it runs."""
        return self._state().install

    @property
    def uris(self) -> tuple[str, ...]:
        """The nodes' MQTT addresses, `mqtts://127.0.0.1:8883` and so on."""
        return tuple(f"mqtts://{node.address}:{node.mqtt_port}" for node in self._state().nodes)

    @property
    def management_uris(self) -> tuple[str, ...]:
        """The nodes' management addresses, `http://127.0.0.1:15672` and so on."""
        return tuple(f"http://{node.address}:{node.management_port}" for node in self._state().nodes)

    @property
    def username(self) -> str:
        """The management user."""
        return MANAGEMENT_USER

    @property
    def password_file(self) -> Path:
        """File (mode 0600) with the management user's password."""
        return self.directory / launch.PASSWORD_FILE

    @property
    def ca(self) -> Path:
        """The CA certificate that signed the nodes' certificate."""
        return self.directory / "tls" / "ca_certificate.pem"

    @property
    def target_file(self) -> Path:
        """A file for `loadgen run --target`."""
        return self.directory / "target.yaml"

    @property
    def node_names(self) -> tuple[str, ...]:
        """Erlang's names of the nodes, in order."""
        return tuple(node.full_name for node in self._state().nodes)

    # ---- up and down ----------------------------------------------------------------------------

    def up(
        self,
        nodes: int = 3,
        *,
        certs: Path = DEFAULT_CERTS,
        install: RabbitInstall | None = None,
        mqtt_port: int = MQTT_PORT,
        management_port: int = MANAGEMENT_PORT,
        scheduler_threads: int | None = None,
        deadline_s: float = 120.0,
    ) -> list[NodeStatus]:
        """Start the cluster, or those of its nodes that do not run, and wait until every node serves.

        A folder that already holds a cluster's data is started again with its users and queues; that
        needs the same RabbitMQ, number of nodes and ports.

        Args:
            nodes: How many.
            certs: Folder of the CA (made when missing) that signs the nodes' certificate.
            install: The RabbitMQ to run; None finds one.
            mqtt_port: Port of MQTT over TLS on each node's address.
            management_port: Port of the management API on each node's address.
            scheduler_threads: Erlang scheduler threads of each node; None is two, or the number of cores
                where that is one.
            deadline_s: Seconds until every node must serve.

        Returns:
            The nodes' status.

        Raises:
            BrokerError: No RabbitMQ, ports taken, or nodes that did not come up (their last words are in it).
            ConfigError: The CA folder is unusable.
        """
        install = install or find_rabbitmq()
        if install.root and (reason := why_root_cannot_run()):
            raise BrokerError(reason, "run as root, or put a RabbitMQ 4.x on PATH")
        with self._alone():
            state = self._planned(nodes, install, mqtt_port, management_port, scheduler_threads)
            launch.prepare_files(self.directory, state, Authority.ensure(certs))
            self._write_target(state)
            dead = [node for node in state.nodes if not (node.process and node.process.alive())]
            ports.require_free(
                (node.address, port) for node in dead for port in (node.mqtt_port, node.management_port)
            )
            try:
                self._start(state, dead)
                self._await(state, state.nodes, deadline_s)
            except BaseException:
                end_all([*state.processes(), *processes_of(self.directory)], grace_s=5.0)
                raise
        return self.status()

    def down(self, *, purge: bool = False) -> list[str]:
        """End every process of the cluster, however many of them still live.

        Args:
            purge: Remove the folder too, with the nodes' data, users and logs.

        Returns:
            Names of what had to be killed because it did not stop in time.
        """
        if not self.directory.exists():
            return []
        with self._alone():
            with contextlib.suppress(BrokerError):  # an unreadable state must not keep nodes alive
                state = ClusterState.load(self.directory)
                if state:
                    names = {node.process: node.name for node in state.nodes if node.process}
                    killed = [names[process] for process in end_all(list(names), _GRACE_S)]
                    if state.epmd:
                        end_all([state.epmd], grace_s=2.0)
                    for node in state.nodes:
                        node.process = None
                    state.epmd = None
                    state.save(self.directory)
                else:
                    killed = []
            leftover = end_all(processes_of(self.directory), grace_s=2.0)
            if purge:
                shutil.rmtree(self.directory, ignore_errors=True)
        return [*killed, *(f"process {process.pid}" for process in leftover)]

    def status(self) -> list[NodeStatus]:
        """Look at every node now; empty when there is no cluster in this folder."""
        state = ClusterState.load(self.directory)
        return [self._status(state, node) for node in state.nodes] if state else []

    # ---- one node -------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """Kill a node without warning (SIGKILL), as a crash would."""
        node = self._running(name)
        assert node.process
        node.process.send(signal.SIGKILL)
        if not wait_until(lambda: not (node.process and node.process.alive()), 10.0, 0.01):
            raise BrokerError(f"{node.name} (process {node.process.pid}) does not die", "look at it with ps")

    def stop(self, name: str, grace_s: float = 60.0) -> None:
        """Stop a node in an orderly way (SIGTERM) and wait until it has ended."""
        node = self._running(name)
        assert node.process
        if end_all([node.process], grace_s):
            raise BrokerError(
                f"{node.name} did not stop within {grace_s:g} s and was killed", "see its node.log"
            )

    def start(self, name: str, deadline_s: float = 120.0) -> None:
        """Start a node that is down, and wait until it serves."""
        with self._alone():
            state = self._state()
            node = _find(state, name)
            if node.process and node.process.alive():
                raise BrokerError(f"{node.name} already runs", "stop or kill it first")
            self._start(state, [node])
            self._await(state, [node], deadline_s)

    def pause(self, name: str) -> None:
        """Freeze a node (SIGSTOP): its sockets stay open and nothing answers, as a hung machine."""
        node = self._running(name)
        assert node.process
        process = node.process
        process.send(signal.SIGSTOP)
        wait_until(lambda: process.state() == "T", 5.0, 0.005)

    def resume(self, name: str) -> None:
        """Let a paused node go on (SIGCONT)."""
        node = self._running(name)
        assert node.process
        node.process.send(signal.SIGCONT)

    def pid(self, name: str) -> int | None:
        """Give a node's process id; None when it does not run."""
        process = _find(self._state(), name).process
        return process.pid if process and process.alive() else None

    def rabbitmqctl(self, name: str, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run `rabbitmqctl` against a node and give its output.

        It boots an Erlang machine each time, so never poll with it.

        Raises:
            BrokerError: With the tool's own words when it failed.
        """
        state = self._state()
        node = _find(state, name)
        if not (state.epmd and state.epmd.alive()):  # or the tool would start an epmd that nobody ends
            raise BrokerError("the cluster is down", "`loadgen cluster up`")
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                launch.cli_command(self.directory, state, node, *arguments),
                env=launch.cli_environment(self.directory, state),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"rabbitmqctl {arguments[0]} took over {timeout_s:g} s", "is a node paused?"
            ) from error
        if done.returncode:
            raise BrokerError(
                f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    # ---- inside ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder against other commands; its content is its owner's only."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        with storage.exclusive(self.directory):
            yield

    def _state(self) -> ClusterState:
        state = ClusterState.load(self.directory)
        if state is None:
            raise BrokerError(f"there is no cluster in {self.directory}", "`loadgen cluster up` starts one")
        return state

    def _running(self, name: str) -> NodeState:
        node = _find(self._state(), name)
        if not (node.process and node.process.alive()):
            raise BrokerError(f"{node.name} does not run", f"`loadgen cluster start {node.name}`")
        return node

    def _planned(
        self, count: int, install: RabbitInstall, mqtt_port: int, management_port: int, threads: int | None
    ) -> ClusterState:
        """Give the state to bring up: the one on disk when it fits what is asked, else a new one."""
        known = ClusterState.load(self.directory)
        if known:
            wanted = (install, count, {(mqtt_port, management_port)})
            if wanted != (
                known.install,
                len(known.nodes),
                {(n.mqtt_port, n.management_port) for n in known.nodes},
            ):
                raise BrokerError(
                    f"{self.directory} holds a cluster of {len(known.nodes)} nodes with RabbitMQ "
                    f"{known.install.version} on ports {known.nodes[0].mqtt_port} and "
                    f"{known.nodes[0].management_port}",
                    "give the same settings, another --directory, or `loadgen cluster down --purge` first",
                )
            if not any(process.alive() for process in known.processes()):
                self._take_internal_ports(known)
            return known
        leftover = processes_of(self.directory)
        if leftover:
            raise BrokerError(
                f"processes of an earlier cluster still run: {', '.join(str(p.pid) for p in leftover)}",
                "`loadgen cluster down` ends them",
            )
        state = ClusterState(
            install=install,
            nodes=[
                NodeState(f"rabbit{number}", f"127.0.0.{number}", mqtt_port, management_port, 0)
                for number in range(1, count + 1)
            ],
            epmd_port=0,
            scheduler_threads=threads or min(2, os.cpu_count() or 1),
        )
        self._take_internal_ports(state)
        return state

    def _take_internal_ports(self, state: ClusterState) -> None:
        state.epmd_port = ports.internal_block(1 + len(state.nodes))
        for offset, node in enumerate(state.nodes, start=1):
            node.distribution_port = state.epmd_port + offset

    def _start(self, state: ClusterState, nodes: list[NodeState]) -> None:
        """Start nodes together: a lone first node would wait for its peers before it serves."""
        state.save(self.directory)
        if not (state.epmd and state.epmd.alive()):
            state.epmd = launch.start_epmd(self.directory, state)
            wait_until(lambda: ports.accepts("127.0.0.1", state.epmd_port), 5.0, 0.02)
        for node in nodes:
            node.process = launch.start_node(self.directory, state, node)
        state.save(self.directory)

    def _await(self, state: ClusterState, nodes: list[NodeState], deadline_s: float) -> None:
        """Wait until nodes serve, and fail at once when one of them died.

        A node that comes back alone need only see itself and the others that live.
        """
        password = self.password_file.read_text().strip()
        members = sum(1 for node in state.nodes if node.process and node.process.alive())
        waiting = list(nodes)

        def done() -> bool:
            for node in list(waiting):
                if not (node.process and node.process.alive()):
                    raise BrokerError(f"{node.full_name} ended while starting:\n{self._last_words(node)}")
                if serves(node, members, password):
                    waiting.remove(node)
            return not waiting

        if not wait_until(done, deadline_s, 0.2):
            late = "\n".join(f"{node.full_name}:\n{self._last_words(node)}" for node in waiting)
            raise BrokerError(f"not serving after {deadline_s:g} s: {late}", f"logs are in {self.directory}")

    def _last_words(self, node: NodeState, lines: int = 12) -> str:
        words: list[str] = []
        for file in ("output.log", "node.log"):
            with contextlib.suppress(OSError):
                words += (self.directory / node.name / file).read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"  {line[:300]}" for line in words)

    def _status(self, state: ClusterState, node: NodeState) -> NodeStatus:
        process = node.process if node.process and node.process.alive() else None
        condition: Condition = "down"
        if process:
            paused = process.state() == "T"
            condition = "paused" if paused else "starting"
            if not paused and ports.accepts(node.address, node.mqtt_port):
                condition = "serving"
        return NodeStatus(
            name=node.full_name,
            address=node.address,
            mqtt_port=node.mqtt_port,
            management_port=node.management_port,
            pid=process.pid if process else None,
            condition=condition,
            version=state.install.version,
        )

    def _write_target(self, state: ClusterState) -> None:
        """Write the target file; JSON strings are YAML strings, so no path needs care."""
        quoted = json.dumps
        uris = ", ".join(f"mqtts://{node.address}:{node.mqtt_port}" for node in state.nodes)
        management = ", ".join(f"http://{node.address}:{node.management_port}" for node in state.nodes)
        self.target_file.write_text(
            "# The local RabbitMQ cluster: `loadgen run SCENARIO --target THIS-FILE`.\n"
            "kind: rabbitmq\n"
            f"uris: [{uris}]\n"
            f"tls: {{ca: {quoted(str(self.ca))}}}\n"
            "management:\n"
            f"  uris: [{management}]\n"
            f"  username: {MANAGEMENT_USER}\n"
            f"  password: {{file: {quoted(str(self.password_file))}}}\n"
        )


def _find(state: ClusterState, name: str) -> NodeState:
    """Find a node by its short or its full name."""
    for node in state.nodes:
        if name in (node.name, node.full_name):
            return node
    known = ", ".join(node.name for node in state.nodes)
    raise BrokerError(f"the cluster has no node {name}", f"its nodes are {known}")
