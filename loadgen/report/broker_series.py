"""What the brokers said of themselves during a run, as columns: CPU, memory, connections, queues."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.metrics.broker_sample import cpu_cores
from loadgen.report import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.metrics.broker_sample import BrokerSample, NodeSample

MAX_POINTS = 400
"""Points of a curve; of a longer run each keeps the highest of some samples."""


@dataclass(frozen=True, slots=True)
class BrokerSeries:
    """Columns of the brokers' samples, NaN for what nobody told."""

    time: list[float] = field(default_factory=list)
    """Seconds since the start of the run."""
    nodes: tuple[str, ...] = ()
    """Names of the nodes; columns of a node end in its place: `broker_memory_0` …"""
    columns: dict[str, list[float]] = field(default_factory=dict)
    """`broker_cpu_N` (percent of a core), `broker_memory_N` (bytes), `broker_connections_N`, `ready` and
    `unacknowledged` (messages in queues)."""
    limit: float | None = None
    """Memory at which a node blocks publishers, bytes; the lowest of all."""
    alarms: tuple[str, ...] = ()
    """What was alarmed at any time, in words."""


def broker_series(samples: Sequence[BrokerSample], origin_ns: int) -> BrokerSeries:
    """Lay the samples out in columns.

    Args:
        samples: In the order of time.
        origin_ns: The run's start on the samples' clock.
    """
    if not samples:
        return BrokerSeries()
    names = tuple(sorted({node.name for sample in samples for node in sample.nodes}))
    cores = {node: dict(found) for node, found in cpu_cores(samples).items()}
    columns: dict[str, list[float]] = {
        "ready": [_known(sample.messages_ready) for sample in samples],
        "unacknowledged": [_known(sample.messages_unacknowledged) for sample in samples],
        "connections": [_known(sample.connections) for sample in samples],
    }
    for place, name in enumerate(names):
        of_node = [_node(sample, name) for sample in samples]
        busy = cores.get(name, {})
        columns[f"broker_cpu_{place}"] = [100 * busy.get(sample.ns, math.nan) for sample in samples]
        columns[f"broker_memory_{place}"] = [_value(node, lambda each: each.footprint) for node in of_node]
        columns[f"broker_connections_{place}"] = [
            _value(node, lambda each: each.connections) for node in of_node
        ]
    step = math.ceil(len(samples) / MAX_POINTS)
    limits = [node.memory_limit for sample in samples for node in sample.nodes if node.memory_limit]
    return BrokerSeries(
        time=[(sample.ns - origin_ns) / 1e9 for sample in samples][::step],
        nodes=names,
        columns={name: _thinned(values, step) for name, values in columns.items()},
        limit=min(limits) if limits else None,
        alarms=_alarms(samples, origin_ns),
    )


def _node(sample: BrokerSample, name: str) -> NodeSample | None:
    return next((node for node in sample.nodes if node.name == name), None)


def _value(node: NodeSample | None, of: Callable[[NodeSample], int | None]) -> float:
    return math.nan if node is None else _known(of(node))


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _thinned(values: Sequence[float], step: int) -> list[float]:
    """Keep the highest of every `step` values: a peak is what one looks for."""
    return [
        max((value for value in values[at : at + step] if not math.isnan(value)), default=math.nan)
        for at in range(0, len(values), step)
    ]


def _alarms(samples: Sequence[BrokerSample], origin_ns: int) -> tuple[str, ...]:
    first: dict[tuple[str, str], float] = {}
    for sample in samples:
        for node in sample.nodes:
            for alarm in node.alarms:
                first.setdefault((node.name, alarm), (sample.ns - origin_ns) / 1e9)
    return tuple(
        f"{node} raised its {alarm} alarm at {figures.clock(at)}: publishers were blocked"
        for (node, alarm), at in first.items()
    )
