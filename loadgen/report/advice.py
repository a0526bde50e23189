"""What the reader should do next, from the figures of a result: above all when a run is INVALID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.report import figures
from loadgen.report.codes import code_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

LAG_LIMIT = 0.1
"""Seconds; the scenario's `generator.send_lag` and `generator.loop_lag` when a result does not say."""


def advice(result: Mapping[str, Any]) -> list[str]:
    """Give one hint for each thing the reader can do, the most telling first; empty after a clean pass."""
    return [*_generator(result), *_thresholds(result), *_promises(result), *_connections(result)]


def saturated(result: Mapping[str, Any]) -> list[str]:
    """Name each way in which the generator could not keep up (`send lag p99 is 320 ms, limit 100 ms`)."""
    generator = result.get("generator") or {}
    limits = generator.get("limits") or {}
    found = []
    for name in ("send_lag", "loop_lag"):
        p99 = (generator.get(name) or {}).get("p99")
        limit = limits.get(name, LAG_LIMIT)
        if p99 is not None and p99 > limit:
            words = name.replace("_", " ")
            found.append(f"{words} p99 is {figures.seconds(p99)}, limit {figures.seconds(limit)}")
    dropped = generator.get("dropped") or 0
    allowed = limits.get("max_dropped", 0)
    if dropped > allowed:
        found.append(f"{figures.count(dropped)} publishes dropped, limit {figures.count(allowed)}")
    return found


def _generator(result: Mapping[str, Any]) -> list[str]:
    generator = result.get("generator") or {}
    lines = []
    lost = generator.get("workers_lost") or 0
    if lost:
        lines.append(
            f"{lost} of {generator.get('workers', '?')} workers died, so the figures lack their clients. "
            "Look for the kernel's out-of-memory killer (`dmesg`), then try fewer clients or more memory."
        )
    reasons = saturated(result)
    if reasons:
        lines.append(
            f"The generator could not keep up ({'; '.join(reasons)}), so these latencies are partly its own. "
            "Use more workers (`--workers`) on more cores, free the machine for it, or lower the rate; "
            "`loadgen plan SCENARIO` shows what this machine can carry."
        )
        if (generator.get("dropped") or 0) > 0:
            lines.append(
                "Publishes are dropped when a client's backlog is full: the broker acknowledged too slowly "
                "for the rate. If the lags above are small, the broker is the bottleneck; a larger "
                "`max_backlog` waits longer."
            )
    return lines


def _thresholds(result: Mapping[str, Any]) -> list[str]:
    unmeasured = sorted(
        {
            str(item.get("metric") or item.get("expression"))
            for item in result.get("thresholds") or []
            if item.get("verdict") == "invalid" and item.get("value") is None
        }
    )
    if not unmeasured:
        return []
    return [
        f"Nothing was measured for {', '.join(unmeasured)}. {_MEASURE}",
    ]


_MEASURE = (
    "Check that a recorded stage (`record: true`) lasts long enough, that a group publishes "
    "(and one subscribes, for delivery), and that clients got connected."
)

_PROMISES = (
    (
        "lost",
        (
            "Messages the broker had acknowledged never arrived. The ledger names the worst pairs; compare "
            "the times with the broker's log, and check queue types and length limits."
        ),
    ),
    (
        "unsettled",
        (
            "Some acknowledged messages were still on their way when the run ended, so they are not called "
            "lost. Give the drain stage more time."
        ),
    ),
    (
        "unexpected",
        (
            "Subscribers received messages that no publisher of this run had sent: somebody else uses these "
            "topics, or an old session still held messages."
        ),
    ),
)


def _promises(result: Mapping[str, Any]) -> list[str]:
    ledger = result.get("ledger") or {}
    lines = [words for key, words in _PROMISES if ledger.get(key)]
    view = (result.get("broker") or {}).get("view") or {}
    if view.get("mismatches"):
        lines.append(
            "The broker knows some clients otherwise than their certificates say. Check "
            "`mqtt.ssl_cert_login = true`, `mqtt.allow_anonymous = false` and `ssl_cert_login_from` "
            "on each node."
        )
    return lines


def _connections(result: Mapping[str, Any]) -> list[str]:
    totals = result.get("totals") or {}
    clients, connected = totals.get("clients") or 0, totals.get("connected") or 0
    clients -= totals.get("refused") or 0
    if connected >= clients:
        return []
    hints = [line.hint for line in code_lines(result.get("codes") or {}) if line.bad and line.hint]
    missing = f"{figures.count(clients - connected)} of {figures.count(clients)} clients were not connected"
    return [f"{missing}: {hints[0]}." if hints else f"{missing}; the codes say why."]
