"""The timeline as a table: one row for each interval, base units, column names that say the unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.metrics.summary import NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.metrics.snapshot import Snapshot

Row = dict[str, float | int | str | None]
"""Column → value; None where nothing was measured."""

LATENCIES = ("publish_latency", "publish_service_time", "delivery_latency", "connect_time", "send_lag")
"""Metrics that have percentiles in every row."""
OF_WORKERS = ("loop_lag",)
"""Metrics of the whole generator: in the table of all groups only."""
PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
COUNTERS = (
    "connect_attempts",
    "connects",
    "connect_failures",
    "disconnects",
    "reconnects",
    "published",
    "acknowledged",
    "publish_errors",
    "received",
    "duplicates",
    "late",
    "dropped",
    "skipped",
)
"""Counters that have a column of how many in the interval."""
_NODE = "connected_node|"


def row_of(
    snapshot: Snapshot,
    origin_ns: int,
    group: str | None = None,
    nodes: Iterable[str] = (),
    *,
    counts_bytes: bool = True,
) -> Row:
    """Give the row of an interval: the same columns in the same order for every one of a run.

    Args:
        snapshot: An interval, added up over the workers.
        origin_ns: The run's start, monotonic ns.
        group: Only this group's clients; all when left out.
        nodes: Nodes that have a column of their clients.
        counts_bytes: Whether the client library tells of bytes.
    """
    length = snapshot.seconds
    row: Row = {
        "start_seconds": round((snapshot.start_ns - origin_ns) * NS, 6),
        "length_seconds": round(length, 6),
        "stage": snapshot.stage,
    }
    for gauge in ("connected", "ready"):
        row[f"{gauge}_clients"] = int(snapshot.gauge(gauge, group)) if _has(snapshot, gauge, group) else None
    for node in nodes:
        value = snapshot.gauges.get(_NODE + node)
        row[f"connected_clients[{node}]"] = None if value is None else int(value)
    for name in ("published", "acknowledged", "received"):
        row[f"{name}_per_second"] = snapshot.count(name, group) / length if length > 0 else None
    for counter in COUNTERS:
        row[f"{counter}_total"] = snapshot.count(counter, group)
    for name in ("sent", "received"):
        # Another library's clients do not tell; 0 would be a measurement.
        row[f"bytes_{name}"] = snapshot.count(f"bytes_{name}", group) if counts_bytes else None
    for metric in (*LATENCIES, *(OF_WORKERS if group is None else ())):
        found = snapshot.select(metric, group)
        values = found.percentiles((*PERCENTILES.values(), 100.0))
        row[f"{metric}_samples"] = found.count
        for name, value in zip((*PERCENTILES, "max"), values, strict=True):
            row[f"{metric}_{name}_seconds"] = round(value * NS, 9) if found.count else None
    if group is None:
        rss = snapshot.gauges.get("rss")
        row["generator_rss_bytes"] = None if rss is None else int(rss)
    return row


def _has(snapshot: Snapshot, gauge: str, group: str | None) -> bool:
    if group is not None:
        return f"{gauge}|{group}" in snapshot.gauges
    return any(key.startswith(f"{gauge}|") for key in snapshot.gauges)
