"""What the brokers said of themselves at one moment of a run; a line of `brokers.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class NodeSample:
    """One node at one moment; None is what nobody told."""

    name: str
    """Erlang's name of the node, such as `rabbit1@localhost`; `embedded` for the embedded broker."""
    running: bool | None = None
    """Whether the cluster counts it as running; None when no node answered."""
    memory: int | None = None
    """Memory used as the node counts it (`mem_used`), bytes."""
    memory_limit: int | None = None
    """Memory at which it blocks publishers, bytes."""
    resident: int | None = None
    """Resident memory of its process, bytes; of local clusters and the embedded broker only."""
    cpu_seconds: float | None = None
    """CPU seconds of its process since that started; of local clusters and the embedded broker only."""
    connections: int | None = None
    """Connections to it, by its counters of those opened and closed."""
    file_descriptors: int | None = None
    """Open files and sockets."""
    processes: int | None = None
    """Erlang processes."""
    run_queue: int | None = None
    """Erlang processes that wait for a processor."""
    gc_runs: int | None = None
    """Garbage collections since the node started."""
    disk_free: int | None = None
    """Free bytes on the disk of its data."""
    alarms: tuple[str, ...] = ()
    """Of `memory` and `disk`: an alarm blocks the cluster's publishers."""

    @property
    def footprint(self) -> int | None:
        """Its memory in bytes: as the node counts it, or else what is resident."""
        return self.memory if self.memory is not None else self.resident


@dataclass(frozen=True, slots=True)
class BrokerSample:
    """The cluster at one moment; None is what nobody told."""

    ns: int
    """When it was asked, `monotonic_ns`, the clock of the snapshots."""
    answered: bool = True
    """Whether a node answered in time. While one node hangs, no node of RabbitMQ 4 does (measured)."""
    connections: int | None = None
    """Connections to all nodes together."""
    queues: int | None = None
    """Queues, those of MQTT subscribers among them."""
    consumers: int | None = None
    """Consumers of the queues."""
    messages_ready: int | None = None
    """Messages that wait in queues. Not counted: QoS 0 messages on their way to a subscriber."""
    messages_unacknowledged: int | None = None
    """Messages delivered and not acknowledged by the subscriber yet."""
    nodes: tuple[NodeSample, ...] = ()
    """The nodes, also those that do not run."""

    @property
    def queue_depth(self) -> int | None:
        """Messages that the broker holds: ready and unacknowledged."""
        known = [each for each in (self.messages_ready, self.messages_unacknowledged) if each is not None]
        return sum(known) if known else None

    @property
    def memory(self) -> int | None:
        """Memory of all nodes together, bytes; None unless every node told of its own."""
        parts = [node.footprint for node in self.nodes]
        known = [part for part in parts if part is not None]
        return sum(known) if known and len(known) == len(parts) else None

    @classmethod
    def from_json(cls, line: str) -> BrokerSample:
        """Read a line of `brokers.jsonl`.

        Raises:
            ValueError: the line is cut short or damaged.
        """
        return cls.from_dict(json.loads(line))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> BrokerSample:
        """Take the content of a line of `brokers.jsonl`.

        Raises:
            ValueError: it is damaged.
        """
        try:
            fields = dict(content)
            nodes = tuple(
                NodeSample(**node | {"alarms": tuple(node.get("alarms", ()))}) for node in fields.pop("nodes")
            )
            return cls(**fields, nodes=nodes)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"damaged sample of the brokers: {error}") from error


def cpu_cores(samples: Iterable[BrokerSample]) -> dict[str, list[tuple[int, float]]]:
    """Give how many cores each node kept busy between two samples.

    Returns:
        Node → (`monotonic_ns` of the later sample, cores: 1.0 is one core all the time). Where a node was
        started anew, or could not be read, there is a gap.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    last: dict[str, tuple[int, float]] = {}
    for sample in samples:
        for node in sample.nodes:
            before = last.pop(node.name, None)
            if node.cpu_seconds is None:
                continue
            last[node.name] = (sample.ns, node.cpu_seconds)
            if before is not None and sample.ns > before[0] and node.cpu_seconds >= before[1]:
                cores = (node.cpu_seconds - before[1]) * 1e9 / (sample.ns - before[0])
                found.setdefault(node.name, []).append((sample.ns, cores))
    return found
