"""What the brokers say of themselves, asked while they are measured: few requests, and none that is dear.

Two requests a sample, whatever the size of cluster and fleet: `/api/overview` has the totals of connections,
queues and messages, `/api/nodes` the figures of every node. Lists of connections or queues are never asked
for: a node gathers them anew each time. While one node hangs, both requests stay without an answer on every
node (measured, RabbitMQ 4.3), so each sample has a time limit; what then is known of a local cluster is what
the kernel tells of its processes.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

from loadgen.broker.management import ManagementError
from loadgen.broker.process import ProcessRef
from loadgen.broker.state import ClusterState
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.broker.embedded import EmbeddedBroker
    from loadgen.broker.management import Management

LIMIT_S = 3.0
"""How long one sample may take."""
_ADDS_UP_WITHIN = 0.01
"""By how much of the cluster's connections the nodes' may differ: the figures are not all of one moment."""

_OVERVIEW = ("object_totals", "queue_totals")
_NODE = (
    *("name", "running", "mem_used", "mem_limit", "mem_alarm", "disk_free", "disk_free_alarm"),
    *("fd_used", "proc_used", "run_queue", "gc_num", "connection_created", "connection_closed"),
)

Sample = dict[str, Any]
"""A line of `brokers.jsonl`; `loadgen.metrics.broker_sample` says what is in it."""


class SampleSource(Protocol):
    """Whom to ask for samples."""

    async def sample(self) -> Sample:
        """Take one, within `LIMIT_S`; a broker that does not answer is a sample that says so."""


class ClusterSamples:
    """Samples of a RabbitMQ cluster, by its management API."""

    def __init__(self, management: Management, local: Path | None = None) -> None:
        """Take whom to ask.

        Args:
            management: an API of its own, since the order in which its nodes are asked changes.
            local: folder of the local cluster that it is, whose processes can be looked at.
        """
        self._management = management
        self._local = local
        self._names: tuple[str, ...] = ()

    async def sample(self) -> Sample:
        """Take one; see `SampleSource`."""
        asked = monotonic_ns()
        processes = self._processes()
        try:
            async with asyncio.timeout(LIMIT_S):
                totals = _totals(await self._management.overview(_OVERVIEW))
                nodes = [_node(row) for row in await self._management.nodes(_NODE)]
        except TimeoutError:
            self._management.ask_another()
            return self._unanswered(asked, processes)
        except (ManagementError, AttributeError, KeyError, TypeError):
            # The latter three: something stands before the API and answers with something else.
            return self._unanswered(asked, processes)
        self._names = tuple(node["name"] for node in nodes)
        _drop_what_does_not_add_up(nodes, totals.get("connections"))
        # A node that is down leaves the totals as they were, until the others have noticed.
        return {
            "ns": asked,
            "answered": True,
            **totals,
            "nodes": [node | processes.get(node["name"], {}) for node in nodes],
        }

    def _unanswered(self, asked: int, processes: dict[str, dict[str, Any]]) -> Sample:
        names = self._names or tuple(processes)
        nodes = [{"name": name} | processes.get(name, {}) for name in names]
        return {"ns": asked, "answered": False, "nodes": nodes}

    def _processes(self) -> dict[str, dict[str, Any]]:
        """Erlang's name of each local node → what the kernel says of its process, which a restart changes."""
        if self._local is None:
            return {}
        try:
            state = ClusterState.load(self._local)
        except BrokerError:
            return {}
        if state is None:
            return {}
        return {node.full_name: _usage(node.process) for node in state.nodes if node.process}


class EmbeddedSamples:
    """Samples of the embedded broker: what the kernel says of its process."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        """Take the broker."""
        self._broker = broker

    async def sample(self) -> Sample:
        """Take one; see `SampleSource`."""
        pid = self._broker.pid
        node = {"name": "embedded", "running": pid is not None}
        return {
            "ns": monotonic_ns(),
            "answered": True,
            "nodes": [node | (_usage(ProcessRef.of(pid)) if pid is not None else {})],
        }


def _usage(process: ProcessRef) -> dict[str, Any]:
    usage = process.usage()
    return {} if usage is None else {"cpu_seconds": usage[0], "resident": usage[1]}


def _totals(overview: dict[str, Any]) -> dict[str, int]:
    objects, messages = overview.get("object_totals") or {}, overview.get("queue_totals") or {}
    found = {key: objects.get(key) for key in ("connections", "queues", "consumers")}
    found["messages_ready"] = messages.get("messages_ready")
    found["messages_unacknowledged"] = messages.get("messages_unacknowledged")
    if found["queues"] == 0 and not messages:  # no queue, no entry
        found["messages_ready"] = found["messages_unacknowledged"] = 0
    return {key: value for key, value in found.items() if isinstance(value, int)}


def _drop_what_does_not_add_up(nodes: list[dict[str, Any]], total: int | None) -> None:
    """Leave the nodes' connections out where they are not those of the cluster.

    A node tells how many it opened and closed, and counts a refused one, or those of before its restart, as
    closed only.
    """
    told = [node.get("connections", 0) for node in nodes]
    if total is None or min(told, default=0) < 0 or abs(sum(told) - total) > total * _ADDS_UP_WITHIN:
        for node in nodes:
            node.pop("connections", None)


def _node(row: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "running": "running",
        "memory": "mem_used",
        "memory_limit": "mem_limit",
        "file_descriptors": "fd_used",
        "processes": "proc_used",
        "run_queue": "run_queue",
        "gc_runs": "gc_num",
        "disk_free": "disk_free",
    }
    node = {key: row[theirs] for key, theirs in plain.items() if isinstance(row.get(theirs), int)}
    opened, closed = row.get("connection_created"), row.get("connection_closed")
    if isinstance(opened, int) and isinstance(closed, int):
        node["connections"] = opened - closed
    alarms = [
        name for name, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")) if row.get(key) is True
    ]
    return {"name": str(row["name"]), **node} | ({"alarms": alarms} if alarms else {})
