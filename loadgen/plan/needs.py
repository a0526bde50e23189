"""What a plan asks of the machine and of the brokers, and whether this machine can carry it."""

from __future__ import annotations

import math
import ssl
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.errors import Problem
from loadgen.plan.pacer import events_until
from loadgen.plan.payload import HEADER_SIZE
from loadgen.plan.settings import source_of

if TYPE_CHECKING:
    from loadgen.plan.plan import Plan
    from loadgen.scenario.model import Group

CLIENT_MEMORY = (64 if ssl.OPENSSL_VERSION_INFO >= (3, 5) else 48) * 1024
"""Bytes of one connected client, for TLS, session and buffers, and some for its plan: measured 38-46 KB with
OpenSSL 3.0, and up to 59 KB with 3.6, which keeps more of a handshake."""
LIBRARY_CLIENT_MEMORY = 88 * 1024
"""The same with another library (`--client aiomqtt`); measured 74-78 KB, a TLS context each in it."""
WORKER_MEMORY = 60 * 1024 * 1024
"""Bytes of a worker before its first client."""
STREAM_MEMORY = 600
"""Bytes of one stream of a client, or of one of its lanes: its topic and its part of the ledger."""
_TIME_WAIT = 60_000_000_000
"""How long Linux keeps the port of a connection that we ended, ns."""
SPARE_DESCRIPTORS = 64
"""Descriptors a worker needs besides its connections: event loop, pipes, files of certificates being read."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the generator's machine has."""

    cores: int
    descriptors: int
    """Open files a process may have."""
    ports: int
    """Local ports for connections from one address to one node."""
    memory: int
    """Bytes that are free for use."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the plan needs, with `workers` processes."""

    workers: int
    clients: int
    clients_per_node: dict[str, int]
    publish_rate: float
    """Messages per second of all publishers at 100 % load."""
    delivery_rate: float
    """Expected deliveries per second at 100 % load."""
    peak_load: float
    """The highest load factor of any stage."""
    publish_bytes: float
    """Payload bytes per second at 100 % load."""
    messages: int
    """Messages of the whole run; exact for constant arrivals, expected for Poisson ones."""
    descriptors: int
    """Open files of the largest worker."""
    ports: int
    """Local ports of the busiest pair of a source address and a node."""
    sources: int
    """Addresses to connect from; 1 when the system chooses it."""
    memory: int
    """Bytes of all workers together."""
    duration: float
    """Seconds: connect stages at their rate, holds in full, drains not counted."""


def needs_of(plan: Plan, workers: int) -> Needs:
    """Add up what the plan needs."""
    names = [str(uri) for uri in plan.scenario.target.uris] or ["embedded"]
    per_node = dict.fromkeys(names, 0)
    sources = len(plan.scenario.target.sources) or 1
    per_pair: dict[tuple[int, int], float] = defaultdict(float)
    held = {name: _ports_held(group) for name, group in plan.scenario.groups.items()}
    for client in plan.clients:
        per_node[names[client.nodes[0]]] += 1
        per_pair[source_of(client.number, len(names), sources), client.nodes[0]] += held[client.group]
    rate = deliveries = volume = 0.0
    contents = 0
    by_stream = {definition.number: definition for definition in plan.definitions}
    for client in plan.clients:
        for stream in client.streams:
            definition = by_stream[stream.stream]
            lane_rate = definition.rate / definition.lanes
            rate += lane_rate
            deliveries += lane_rate * stream.fanout
            own = stream.content
            volume += lane_rate * (definition.payload if own is None else HEADER_SIZE + len(own))
            contents += STREAM_MEMORY + len(own or b"")
    end = max((segment.load_to for segment in plan.segments.values()), default=0)
    messages = sum(events_until(end, each.clients, each.rate) for each in plan.definitions if end)
    largest = -(-len(plan.clients) // workers)
    return Needs(
        workers=workers,
        clients=len(plan.clients),
        clients_per_node=per_node,
        publish_rate=rate,
        delivery_rate=deliveries,
        peak_load=max((max(each.start_load, each.end_load) for each in plan.segments.values()), default=0.0),
        publish_bytes=volume,
        messages=messages,
        descriptors=largest + SPARE_DESCRIPTORS,
        ports=math.ceil(max(per_pair.values(), default=0)),
        sources=sources,
        memory=len(plan.clients) * (CLIENT_MEMORY if plan.driver == "native" else LIBRARY_CLIENT_MEMORY)
        + contents
        + workers * (WORKER_MEMORY + sum(each.payload for each in plan.definitions)),
        duration=_duration(plan),
    )


def _ports_held(group: Group) -> float:
    """Local ports that a client has in use: one, and those of the connections it ended in the last minute."""
    if group.lifetime is None:
        return 1.0
    return 1.0 + _TIME_WAIT / (group.lifetime + group.pause)


def _duration(plan: Plan) -> float:
    seconds = 0.0
    for stage in plan.scenario.stages:
        if stage.kind == "connect" and stage.connect:
            groups = stage.groups or tuple(plan.scenario.groups)
            seconds += sum(plan.scenario.groups[name].clients for name in groups) / stage.connect
        elif stage.kind == "hold":
            seconds += (stage.hold or 0) / 1e9
    return seconds


def shortfalls(needs: Needs, machine: Machine) -> list[Problem]:
    """What this machine lacks for the plan, each with what to change."""
    problems: list[Problem] = []
    if needs.descriptors > machine.descriptors:
        room = max(machine.descriptors - SPARE_DESCRIPTORS, 1)
        problems.append(
            Problem(
                "",
                f"{needs.clients} clients on {needs.workers} workers need {needs.descriptors} open files in "
                f"a process, and only {machine.descriptors} are allowed",
                f"raise the limit (ulimit -n {needs.descriptors}), or use --workers "
                f"{-(-needs.clients // room)}, or fewer clients",
            )
        )
    if needs.ports > machine.ports:
        problems.append(
            Problem(
                "",
                f"{needs.ports} clients go from one address to one node, and this machine has "
                f"{machine.ports} local ports for that",
                f"connect from {-(-needs.ports * needs.sources // machine.ports)} addresses "
                "(target.source_addresses), widen net.ipv4.ip_local_port_range, spread over more nodes, or "
                "use fewer clients",
            )
        )
    if needs.memory > machine.memory:
        problems.append(
            Problem(
                "",
                f"{needs.clients} clients need about {needs.memory >> 20} MiB, and "
                f"{machine.memory >> 20} MiB are free",
                "use fewer clients, or a machine with more memory",
            )
        )
    return problems


def summary(plan: Plan, needs: Needs) -> dict[str, Any]:
    """The plan in numbers: what `plan.json` holds and `loadgen plan` prints."""
    groups = {
        name: {
            "clients": group.clients,
            "publishers": sum(len(c.streams) for c in plan.clients if c.group == name),
            "payloads": [each.payload for each in plan.definitions if each.group == name],
            "subscriptions": sum(len(c.filters) for c in plan.clients if c.group == name),
            "publish_rate": sum(each.rate * each.clients for each in plan.definitions if each.group == name),
        }
        for name, group in plan.scenario.groups.items()
    }
    return {
        "scenario": plan.scenario.name,
        "seed": plan.scenario.seed,
        "client": plan.driver,
        "workers": needs.workers,
        "clients": needs.clients,
        "clients_per_node": needs.clients_per_node,
        "groups": groups,
        "stages": [
            {"name": each.name, "kind": each.kind} | ({"load": str(each.load)} if each.kind == "hold" else {})
            for each in plan.scenario.stages
        ],
        "faults": [
            {
                "name": fault.name,
                "at": fault.at,
                "kind": fault.kind,
                "targets": list(fault.targets),
                "what": fault.what,
                "healed": fault.healed,
            }
            for fault in plan.faults
        ],
        "publishers": plan.publishers,
        "pairs": plan.pair_count,
        "publish_rate": needs.publish_rate,
        "delivery_rate": needs.delivery_rate,
        "peak_load": needs.peak_load,
        "publish_bytes_per_second": needs.publish_bytes,
        "messages": needs.messages,
        "duration": needs.duration,
        "descriptors_per_worker": needs.descriptors,
        "ports_per_node": needs.ports,
        "source_addresses": needs.sources,
        "memory_bytes": needs.memory,
    }
