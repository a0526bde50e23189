"""Every metric loadgen takes, by name: what it is, its unit and its source (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["histogram", "counter"]
Source = Literal["group", "worker", "ledger", "run"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """What is stored: histograms nanoseconds, counters whole numbers of this."""
    description: str
    source: Source = "group"
    """`group`: recorded for each group; `worker`: for each worker; `ledger`, `run`: known when the run has
    ended, from the ledger or from what the workers said last."""


def _histogram(name: str, description: str, source: Source = "group") -> Metric:
    return Metric(name, "histogram", "nanoseconds", description, source)


def _counter(name: str, unit: str, description: str, source: Source = "group") -> Metric:
    return Metric(name, "counter", unit, description, source)


_ALL = (
    _histogram("tcp_connect", "connect() called → TCP connection established"),
    _histogram("tls_handshake", "TCP established → TLS handshake done on our side"),
    _histogram("mqtt_connect", "CONNECT written → CONNACK received"),
    _histogram("connect_time", "intended time of the connection → CONNACK with success"),
    _histogram("subscribe_time", "SUBSCRIBE written → SUBACK received"),
    _histogram(
        "publish_latency", "intended time of the message → PUBACK (response time); no answer: → giving up"
    ),
    _histogram("publish_service_time", "message written to the socket → PUBACK; no answer: → giving up"),
    _histogram("delivery_latency", "intended time of the message → received by a subscriber"),
    _histogram("send_lag", "intended time of the message → written to the socket: our own lateness"),
    _histogram("loop_lag", "how late the event loop woke", "worker"),
    _histogram("detect_time", "last sign of life of a connection → its loss noticed"),
    _histogram("reconnect_time", "loss of a connection noticed → CONNACK of the next one"),
    _histogram(
        "planned_reconnect_time",
        "left for a certificate step (DISCONNECT sent) → CONNACK of the next connection",
    ),
    _histogram("recovery_time", "loss noticed → first acknowledged publish or delivery after it"),
    _histogram(
        "redelivery_latency", "intended time of the message → first received, of messages flagged DUP"
    ),
    _counter("connect_attempts", "connections", "connections begun"),
    _counter("connects", "connections", "connections accepted: CONNACK with success"),
    _counter("connect_failures", "connections", "connection attempts that failed, whatever the phase"),
    _counter("slow_connacks", "connections", "waits for a CONNACK of more than 10 s, answered or given up"),
    _counter("disconnects", "connections", "established connections lost against our will"),
    _counter(
        "planned_disconnects",
        "connections",
        "connections ended as a client's lifetime was over, or for a certificate step",
    ),
    _counter("reconnects", "connections", "connections accepted after a loss"),
    _counter(
        "takeovers", "connections", "connections lost to a CONNECT of the same client given up before (0x8E)"
    ),
    _counter("sessions_lost", "sessions", "reconnects that found the session gone at the broker"),
    _counter(
        "subscribe_failures", "clients", "clients whose subscription was refused or granted at a lower QoS"
    ),
    _counter("published", "messages", "PUBLISH packets handed to the socket for the first time"),
    _counter("republished", "messages", "PUBLISH packets sent again with DUP after a session was resumed"),
    _counter("abandoned", "messages", "unacknowledged publishes given up because their session was gone"),
    _counter(
        "unanswered", "messages", "QoS 1 publishes without any answer when the run or their session ended"
    ),
    _counter("acknowledged", "messages", "PUBACKs with success"),
    _counter("publish_errors", "messages", "PUBACKs with a reason of 0x80 or more, or 0x10 (no subscriber)"),
    _counter("received", "messages", "PUBLISH packets received, duplicates included"),
    _counter("duplicates", "messages", "received messages that this subscriber had already"),
    _counter(
        "dup_flagged", "messages", "messages flagged DUP and received for the first time: no duplicates"
    ),
    _counter("late_redeliveries", "messages", "of the dup_flagged: 30 s or more after their intended time"),
    _counter("reordered", "messages", "received messages that a later one had overtaken"),
    _counter("foreign", "messages", "received messages that no publisher of this run sent"),
    _counter("wills_received", "messages", "received wills of clients that were gone without a DISCONNECT"),
    _counter("retained_received", "messages", "received messages that the broker had retained from before"),
    _counter("bytes_sent", "bytes", "bytes written to TCP, TLS included"),
    _counter("bytes_received", "bytes", "bytes read from TCP, TLS included"),
    _counter(
        "late",
        "messages",
        "messages that waited for a connection or for the broker's quota before they were sent",
    ),
    _counter(
        "dropped",
        "messages",
        "messages due and never sent: the client's backlog was full, or not empty when it left the run, "
        "or the broker's CONNACK forbids them",
    ),
    _counter("skipped", "messages", "messages due while their client was away as planned; never sent"),
    _counter("expected_deliveries", "messages", "sent messages times their matching subscribers", "ledger"),
    _counter("delivered", "messages", "expected deliveries that arrived at least once", "ledger"),
    _counter("messages_lost", "messages", "acknowledged and never delivered", "ledger"),
    _counter("messages_duplicated", "messages", "delivered more than once", "ledger"),
    _counter("messages_recovered", "messages", "not acknowledged and delivered all the same", "ledger"),
    _counter("messages_indeterminate", "messages", "not delivered, and no promise broken", "ledger"),
    _counter("messages_unexpected", "messages", "delivered and never sent, or not subscribed for", "ledger"),
    _counter(
        "clients_never_connected",
        "clients",
        "clients that were never connected and subscribed, of those that the brokers were to let in",
        "run",
    ),
    _counter("messages_reordered", "messages", "overtaken by a later message of its publisher", "ledger"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by name."""

CODES: dict[str, str] = {
    "connack_codes": "CONNACK reason codes, successes included",
    "suback_codes": "SUBACK reason codes, one for each filter",
    "publish_refusals": "publishes not sent because the broker's CONNACK forbids them, by reason",
    "puback_codes": "PUBACK reason codes other than success",
    "disconnect_codes": "how connections ended: DISCONNECT reason codes, and fin, rst, keep_alive, …",
    "connect_errors": "connection attempts that never came to a CONNACK, by cause",
}
"""Counters split by code; a code is text such as `0x86` or `timeout_connack`."""

HISTOGRAMS: tuple[str, ...] = tuple(m.name for m in _ALL if m.kind == "histogram" and m.source == "group")
"""Histogram metrics recorded for each group."""

COUNTERS: tuple[str, ...] = tuple(m.name for m in _ALL if m.kind == "counter" and m.source == "group")
"""Counters recorded for each group."""

THRESHOLD_METRICS: dict[str, str] = {
    metric.name: "duration" if metric.kind == "histogram" else "count" for metric in _ALL
}
"""What a threshold may name, and whether its values are a `duration` or a `count`."""

_SELECTORS: dict[Source, tuple[str, ...]] = {
    "group": ("group", "node", "stage", "during", "after"),
    "worker": ("stage", "during", "after"),
    "ledger": ("during",),
    "run": (),
}
THRESHOLD_SELECTORS: dict[str, tuple[str, ...]] = {metric.name: _SELECTORS[metric.source] for metric in _ALL}
"""What a threshold on each metric may be selected by: the ledger is kept for the run and for each fault."""


def at_node(metric: str, node: str) -> str:
    """The name in snapshots of the part of a metric that was measured at a node (`host:port`)."""
    return f"{metric}@{node}"
