"""Connections closed by the broker itself, asked over its management API."""

from __future__ import annotations

import asyncio
import math
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from loadgen.broker.faults import Address, FaultOrder, Step
    from loadgen.broker.management import Management
    from loadgen.broker.nodes import Nodes

REASON = "fault of a loadgen run"
"""What RabbitMQ writes into its log as the reason of each closed connection."""
_AT_ONCE = 32
_COLUMNS = ("name", "node", "protocol", "client_properties")


async def close_connections(
    management: Management,
    mapping: Mapping[str, str],
    order: FaultOrder,
    client_ids: Collection[str] | None,
    step: Step,
) -> None:
    """Close a share of the MQTT connections of some nodes.

    Clients that came within the last seconds (`collect_statistics_interval`) are not listed yet and stay.

    Args:
        management: whom to ask.
        mapping: Erlang's name of a node → ours.
        order: which nodes, and the share of each one's connections.
        client_ids: whose connections; anybody's when None.
        step: is told of each node when its first connection is closed, and the number at the end.
    """
    rows = await management.connections(_COLUMNS)
    chosen = {
        name: _share(sorted(_closable(rows, mapping, name, client_ids)), order.share) for name in order.nodes
    }
    limit = asyncio.Semaphore(_AT_ONCE)

    async def close(connection: str) -> bool:
        async with limit:
            return await management.close_connection(connection, REASON)

    for name in chosen:
        step("closing connections", name, monotonic_ns())
    done = await asyncio.gather(
        *(asyncio.gather(*(close(connection) for connection in chosen[name])) for name in chosen)
    )
    for name, closed in zip(chosen, done, strict=True):
        step(f"closed {sum(closed)} connections", name, monotonic_ns())


def _closable(
    rows: Sequence[dict[str, Any]],
    mapping: Mapping[str, str],
    name: str,
    client_ids: Collection[str] | None,
) -> list[str]:
    found = []
    for row in rows:
        properties = row.get("client_properties")
        client_id = properties.get("client_id") if isinstance(properties, dict) else None
        ours = client_ids is None or client_id in client_ids
        if ours and str(row.get("protocol")).startswith("MQTT") and mapping.get(str(row["node"])) == name:
            found.append(str(row["name"]))
    return found


def _share(connections: Sequence[str], share: float) -> list[str]:
    """Take a share, rounded up, spread evenly over the list."""
    count = math.ceil(len(connections) * share)
    return [connections[place * len(connections) // count] for place in range(count)]


async def names_by_erlang(nodes: Nodes, uris: Sequence[Address], management: Management) -> dict[str, str]:
    """Find out which of a target's nodes is which of the cluster's: Erlang's name → ours.

    By the part of the name that tells nodes apart, or else by the address at which a node says it listens.
    """
    mapping = {}
    overview = await management.overview()
    listening = {
        (str(each.get("ip_address")), each.get("port")): str(each.get("node"))
        for each in overview.get("listeners") or ()
    }
    for row in await management.nodes():
        erlang = str(row["name"])
        first, _, host = erlang.partition("@")
        for name, uri in zip(nodes.names, uris, strict=True):
            known = nodes.erlang_host(name)
            named = known in (first, host) or host.startswith(f"{known}.")
            if named or listening.get((uri.host, uri.port)) == erlang:
                mapping[erlang] = name
    return mapping
