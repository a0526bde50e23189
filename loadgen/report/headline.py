"""What a reader looks for first: six figures, and the generator's health when it was the bottleneck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.advice import LAG_LIMIT, saturated

if TYPE_CHECKING:
    from collections.abc import Mapping


def headline(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Give the figures a reader looks for first: name, value, note, tone (`bad` or empty)."""
    totals, ledger, metrics = (result.get(key) or {} for key in ("totals", "ledger", "metrics"))
    publish, delivery = metrics.get("publish_latency") or {}, metrics.get("delivery_latency") or {}
    clients, connected = totals.get("clients"), totals.get("connected")
    lost = ledger.get("lost")
    return [
        (
            "clients connected",
            figures.count(connected),
            f"of {figures.count(clients)}",
            "bad" if (connected or 0) + (totals.get("refused") or 0) < (clients or 0) else "",
        ),
        (
            "sent",
            figures.count(totals.get("published")),
            f"{figures.count(totals.get('acknowledged'))} acknowledged",
            "",
        ),
        (
            "delivered",
            figures.count(totals.get("delivered")),
            f"of {figures.count(totals.get('expected_deliveries'))} expected",
            "",
        ),
        ("lost", figures.count(lost), "though acknowledged", "bad" if lost else ""),
        (
            "publish p99",
            figures.seconds(publish.get("p99")),
            f"p50 {figures.seconds(publish.get('p50'))}",
            "",
        ),
        (
            "delivery p99",
            figures.seconds(delivery.get("p99")),
            f"p50 {figures.seconds(delivery.get('p50'))}",
            "",
        ),
    ]


def health(result: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Give the generator's figures when it could not keep up: name, value, limit, and whether it is beyond.

    Empty when loadgen was not the bottleneck: then they stand in their own section only.
    """
    generator = result.get("generator") or {}
    if not saturated(result) and not generator.get("workers_lost"):
        return []
    limits = generator.get("limits") or {}
    rows = []
    for name in ("send_lag", "loop_lag"):
        p99, limit = (generator.get(name) or {}).get("p99"), limits.get(name, LAG_LIMIT)
        beyond = p99 is not None and p99 > limit
        words = f"{name.replace('_', ' ')} p99"
        rows.append((words, figures.seconds(p99), f"limit {figures.seconds(limit)}", beyond))
    dropped, allowed = generator.get("dropped") or 0, limits.get("max_dropped", 0)
    rows.append(("dropped", figures.count(dropped), f"limit {figures.count(allowed)}", dropped > allowed))
    rows.append(("CPU", f"{figures.percent(generator.get('cpu_percent'))} of a core", "", False))
    rows.append(("memory", figures.size(generator.get("rss_peak")), "", False))
    return rows
