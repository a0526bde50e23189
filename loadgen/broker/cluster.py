"""A cluster of real RabbitMQ nodes on this machine: plain processes on 127.0.0.1, .2 and so on.

Everything the cluster is lies in one folder (configuration, certificates, data, logs, `state.json`), so that
a later command finds it again. Each node listens on its own loopback address, all on the same ports, as a
cluster of three machines would.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from loadgen.broker import bringup, launch, ports
from loadgen.broker.folder import ClusterFolder
from loadgen.broker.install import find_rabbitmq, why_root_cannot_run
from loadgen.broker.packet_filter import PacketFilter
from loadgen.broker.process import end_all, processes_of, wait_until
from loadgen.broker.state import ClusterState, NodeState, QueueType
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority
from loadgen.identity.crl_folder import write_crl_folder

if TYPE_CHECKING:
    from loadgen.broker.auth import Auth
    from loadgen.broker.install import RabbitInstall

DEFAULT_DIRECTORY = Path(".loadgen/cluster")
DEFAULT_CERTS = Path("certs/out")
MQTT_PORT = 8883
MANAGEMENT_PORT = 15672
MAX_NODES = 9

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


class LocalCluster(ClusterFolder):
    """The cluster of a folder, to bring up, look at, take down and disturb."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        """Name the folder; nothing is read or made before it is needed."""
        super().__init__(directory)

    def up(
        self,
        nodes: int = 3,
        *,
        certs: Path = DEFAULT_CERTS,
        install: RabbitInstall | None = None,
        mqtt_port: int = MQTT_PORT,
        management_port: int = MANAGEMENT_PORT,
        scheduler_threads: int | None = None,
        auth: Auth | None = None,
        queue_type: QueueType | None = None,
        deadline_s: float = 120.0,
    ) -> list[NodeStatus]:
        """Start the cluster, or those of its nodes that do not run, and wait until every node serves.

        A folder that already holds a cluster's data is started again with its users and queues; that
        needs the same RabbitMQ, number of nodes and ports.

        Args:
            nodes: How many, 1 to 9.
            certs: Folder of the CA (made when missing) that signs the nodes' certificate.
            install: The RabbitMQ to run; None finds one.
            mqtt_port: Port of MQTT over TLS on each node's address.
            management_port: Port of the management API on each node's address.
            scheduler_threads: Erlang scheduler threads of each node; None is the node's share of
                the cores, and at least two where there are two.
            auth: What in a certificate becomes user name and client id; None is what the folder's cluster
                had before, or else the common name, and any client id. It may change while no node runs.
            queue_type: What the queues of sessions are that are kept; None is what the folder's cluster had
                before, or else classic. It counts for new queues, so a cluster that has data keeps it.
            deadline_s: Seconds until every node must serve.

        Returns:
            The nodes' status.

        Raises:
            BrokerError: No RabbitMQ, ports taken, or nodes that did not come up (their last words are in it).
            ConfigError: The CA folder is unusable.
        """
        install = install or find_rabbitmq()
        if install.root and (reason := why_root_cannot_run()):
            raise BrokerError(reason, "give the command that, or put a RabbitMQ 4.x on PATH")
        asked = ClusterState(
            install=install,
            nodes=[
                NodeState(f"rabbit{number}", f"127.0.0.{number}", mqtt_port, management_port, 0)
                for number in range(1, nodes + 1)
            ],
            epmd_port=0,
            scheduler_threads=scheduler_threads or _fair_threads(nodes),
            certs=certs.resolve(),
        )
        if auth is not None:
            asked.auth = auth
        if queue_type is not None:
            asked.queue_type = queue_type
        with self.alone():
            state = self._reconciled(asked, keep_auth=auth is None, keep_queues=queue_type is None)
            launch.prepare_files(self.directory, state, Authority.ensure(certs))
            self.write_target(state)
            PacketFilter.of_cluster(self.directory).clear()  # what a run that was killed left cut
            dead = [node for node in state.nodes if not (node.process and node.process.alive())]
            ports.require_free(
                (node.address, port) for node in dead for port in (node.mqtt_port, node.management_port)
            )
            try:
                bringup.start_nodes(self.directory, state, dead)
                bringup.await_serving(self.directory, state, state.nodes, deadline_s)
            except BaseException:
                end_all([*state.processes(), *processes_of(self.directory)], grace_s=5.0)
                raise
        return self.status()

    def down(self, *, purge: bool = False, grace_s: float = 30.0) -> list[str]:
        """End every process of the cluster, however many of them still live.

        Args:
            purge: Remove the folder too, with the nodes' data, users and logs.
            grace_s: Seconds for an orderly stop before a node is killed.

        Returns:
            Names of what had to be killed because it did not stop in time, or was no longer on record.
        """
        if not self.directory.exists():
            return []
        killed: list[str] = []
        with self.alone():
            with contextlib.suppress(BrokerError):  # an unreadable state must not keep nodes alive
                if state := ClusterState.load(self.directory):
                    names = {node.process: node.name for node in state.nodes if node.process}
                    killed += [names[process] for process in end_all(list(names), grace_s)]
                    end_all([state.epmd] if state.epmd else [], grace_s=2.0)
                    for node in state.nodes:
                        node.process = None
                    state.epmd = None
                    state.save(self.directory)
            # Helpers of the Erlang machine end by themselves a moment after it.
            wait_until(lambda: not processes_of(self.directory), 1.0)
            with contextlib.suppress(BrokerError):
                PacketFilter.of_cluster(self.directory).clear()
            leftover = processes_of(self.directory)
            end_all(leftover, grace_s=5.0)
            killed += [f"process {process.pid}" for process in leftover]
            if purge:
                shutil.rmtree(self.directory)
        return killed

    def status(self) -> list[NodeStatus]:
        """Look at every node now; empty when there is no cluster in this folder."""
        state = ClusterState.load(self.directory)
        return [_status(state, node) for node in state.nodes] if state else []

    def kill(self, name: str) -> None:
        """Kill a node without warning (SIGKILL), as a crash would."""
        node = self.live_node(name)
        process = node.process
        assert process
        process.send(signal.SIGKILL)
        if not wait_until(lambda: not process.alive(), 10.0, 0.01):
            raise BrokerError(f"{node.name} (process {process.pid}) does not die", "look at it with ps")

    def stop(self, name: str, grace_s: float = 60.0) -> None:
        """Stop a node in an orderly way (SIGTERM) and wait until it has ended."""
        node = self.live_node(name)
        assert node.process
        if end_all([node.process], grace_s):
            log = self.directory / node.name / "node.log"
            raise BrokerError(f"{node.name} did not stop within {grace_s:g} s and was killed", f"see {log}")

    def start(self, name: str, deadline_s: float = 120.0) -> None:
        """Start a node that is down, and wait until it serves."""
        with self.alone():
            state = self.load()
            node = state.node(name)
            if node.process and node.process.alive():
                raise BrokerError(f"{node.name} already runs", "stop or kill it first")
            bringup.start_nodes(self.directory, state, [node])
            bringup.await_serving(self.directory, state, [node], deadline_s)

    def pause(self, name: str) -> None:
        """Freeze a node (SIGSTOP): its sockets stay open and nothing answers, as a hung machine."""
        process = self.live_node(name).process
        assert process
        process.send(signal.SIGSTOP)
        wait_until(lambda: process.state() == "T", 5.0, 0.005)

    def resume(self, name: str) -> None:
        """Let a paused node go on (SIGCONT)."""
        process = self.live_node(name).process
        assert process
        process.send(signal.SIGCONT)

    def refresh_crls(self) -> list[Path]:
        """Give the nodes the CA's CRLs as they are now; they look at the next handshake.

        Raises:
            BrokerError: The nodes do not check CRLs.
        """
        state = self.load()
        if not state.auth.check_crl:
            raise BrokerError("the nodes check no CRL", "`loadgen cluster up --check-crl` has them do it")
        return write_crl_folder(state.certs, self.directory / "tls" / launch.CRL_FOLDER)

    def pid(self, name: str) -> int | None:
        """Give a node's process id; None when it does not run."""
        process = self.load().node(name).process
        return process.pid if process and process.alive() else None

    def rabbitmqctl(self, name: str, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run `rabbitmqctl` against a node and give its output.

        It boots an Erlang machine each time, so never poll with it.

        Raises:
            BrokerError: With the tool's own words when it failed.
        """
        state = self.load()
        if not (state.epmd and state.epmd.alive()):  # or the tool would start an epmd that nobody ends
            raise BrokerError("the cluster is down", "`loadgen cluster up`")
        try:
            done = subprocess.run(  # noqa: S603 - our own command line
                launch.cli_command(self.directory, state, state.node(name), *arguments),
                env=launch.cli_environment(self.directory, state),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                start_new_session=True,  # Ctrl-C is for a run, which may still have to revive a node
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"rabbitmqctl took over {timeout_s:g} s", "is a node paused?") from error
        if done.returncode:
            raise BrokerError(f"rabbitmqctl failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _reconciled(self, asked: ClusterState, *, keep_auth: bool, keep_queues: bool) -> ClusterState:
        """Give the state to bring up: the one on disk when it fits what is asked, else a new one."""
        known = ClusterState.load(self.directory)
        if known is None:
            leftover = ", ".join(str(process.pid) for process in processes_of(self.directory))
            if leftover:
                raise BrokerError(
                    f"processes of an earlier cluster still run: {leftover}",
                    "`loadgen cluster down` ends them",
                )
            bringup.take_internal_ports(asked)
            return asked
        alive = any(process.alive() for process in known.processes())
        if keep_auth:
            asked.auth = known.auth
        if keep_queues:
            asked.queue_type = known.queue_type
        if known.shape != asked.shape or (alive and (known.certs, known.auth) != (asked.certs, asked.auth)):
            raise BrokerError(
                f"{self.directory} holds {known.describe()}",
                "give the same settings, another --directory, or `loadgen cluster down --purge` first",
            )
        if not alive:
            known.certs, known.scheduler_threads = asked.certs, asked.scheduler_threads
            known.auth = asked.auth
            bringup.take_internal_ports(known)
        return known


def _fair_threads(nodes: int) -> int:
    """Choose scheduler threads; below two a node starts slowly, and one long task delays every client."""
    cores = os.cpu_count() or 1
    return max(min(2, cores), cores // nodes)


def _status(state: ClusterState, node: NodeState) -> NodeStatus:
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
