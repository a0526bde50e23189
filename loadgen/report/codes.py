"""MQTT 5 reason codes and connection errors in words, each with what the reader can do about it.

Hints say what RabbitMQ means by a code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.reason_codes import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTIONS: tuple[tuple[str, str], ...] = (
    ("connack", "CONNACK"),
    ("suback", "SUBACK"),
    ("puback", "PUBACK"),
    ("disconnect", "lost"),
    ("connect_errors", "connecting"),
    ("publish_refusals", "not sent"),
)
"""Keys of `codes` in result.json, in reading order, with the word shown for each."""

_HINTS: dict[tuple[str, int], str] = {
    ("connack", 0x83): "a queue of this session is on a node that is down; clean start would replace it",
    ("connack", 0x84): "the broker does not speak MQTT 5; RabbitMQ does from 3.13, always from 4.0",
    (
        "connack",
        0x85,
    ): "RabbitMQ wants the client id that the certificate names (mqtt.ssl_cert_client_id_from)",
    ("connack", 0x86): "the certificate's name is no user of the broker: run `loadgen provision SCENARIO`",
    ("connack", 0x87): "the user has no permission in the virtual host: run `loadgen provision SCENARIO`",
    ("connack", 0x88): "the node cannot reach its cluster's metadata (no majority)",
    ("connack", 0x97): "a connection limit of the virtual host, user or node is reached",
    ("suback", 0x80): "the broker could not make the subscription's queue; it may have lost its majority",
    ("suback", 0x87): "the user may not read this topic or make its queue: check permissions",
    ("suback", 0x9E): "RabbitMQ has no shared subscriptions; use plain filters",
    ("puback", 0x10): "nobody subscribes to the topic; such a publish is not counted as acknowledged",
    ("puback", 0x83): "a target queue rejected it: its node is down or the queue is full",
    ("puback", 0x87): "the user may not write to this topic: check permissions",
    ("puback", 0x97): "a target queue is full",
    ("disconnect", 0x8B): "the node was drained for maintenance",
    ("disconnect", 0x8D): "the broker heard nothing for 1.5 to 2.25 times the keep-alive",
    ("disconnect", 0x8E): "two connections used one client id",
    ("disconnect", 0x93): "the client sent more unacknowledged messages than the broker allows",
    ("disconnect", 0x95): "larger than the broker's maximum packet size",
    ("disconnect", 0x9B): "RabbitMQ has no QoS 2",
}


_PHASES = {"tcp": "TCP connection", "tls": "TLS handshake", "connack": "CONNECT", "suback": "SUBSCRIBE"}
"""How far an attempt had come, as the engine writes it before the cause."""

_CAUSES: dict[str, tuple[str, str]] = {
    "closed": ("closed by the broker without a DISCONNECT (FIN)", ""),
    "lost": ("ended without a DISCONNECT from the broker", ""),
    "reset": ("reset by the broker or its machine (RST)", ""),
    "refused": ("connection refused", "nothing listens there: is the broker up, and is it this port?"),
    "timeout": ("no answer in time", ""),
    "keep-alive": ("no answer to a ping in time", ""),
    "dns": ("the host name is not known", ""),
    "unreachable": ("the host cannot be reached", ""),
    "no-descriptors": ("out of file descriptors", "raise the limit: `ulimit -n`"),
    "no-ports": ("out of local ports", "widen net.ipv4.ip_local_port_range, or use more target addresses"),
}
"""Causes that engines write instead of a reason code, with a hint (may be empty)."""

_TLS_HINTS = (
    (
        "certificate_verify_failed",
        "the server's certificate is not trusted: check `target.tls.ca` and the server name",
    ),
    ("unknown_ca", "the broker does not trust the clients' CA: check its `ssl_options.cacertfile`"),
    ("wrong_version_number", "this port does not speak TLS"),
    ("certificate_expired", "a client's certificate has expired: `loadgen certs issue` makes new ones"),
)


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One code that was seen: where it came, its words, how often, and a hint (may be empty)."""

    section: str
    """The packet that carried it, as shown: `CONNACK`, `PUBACK` …"""
    code: str
    """`0x86`, or the name of a connection error."""
    words: str
    count: int
    hint: str
    bad: bool
    """True when it stands for something that went wrong."""


def number(code: str) -> int | None:
    """Read `0x86` or `134` as a number; None for a name such as `timeout`."""
    try:
        return int(code, 0)
    except ValueError:
        return None


def explain(kind: str, code: str, times: int) -> CodeLine:
    """Put one code into words.

    Args:
        kind: A key of `codes` in result.json (`connack`, `puback` …).
        code: As it stands there: `0x86`, `134`, or a name.
        times: How often it was seen.
    """
    section = dict(SECTIONS).get(kind, kind)
    value = number(code)
    if value is None:
        words, hint = _name(code)
        return CodeLine(section, code, words, times, hint, bad=True)
    words = REASONS.get(value, "unknown reason code")
    if value == 0 and kind == "disconnect":
        words = "normal disconnection"
    elif value == 0 and kind == "suback":
        words = "granted QoS 0"
    bad = value >= 0x80 or (kind == "puback" and value == 0x10)
    return CodeLine(section, f"0x{value:02x}", words, times, _HINTS.get((kind, value), ""), bad=bad)


def _name(code: str) -> tuple[str, str]:
    """Put a cause such as `connack:refused:0x86` into words, and give a hint (may be empty)."""
    phase, _, cause = code.partition(":")
    if phase not in _PHASES or not cause:
        phase, cause = "", code
    head, tail = cause.split(":")[0], cause.rsplit(":", 1)[-1]
    value = number(tail) if tail.startswith("0x") else None
    if value is not None:
        kind = head if head == "disconnect" else phase or "connack"
        words = f"{head.replace('-', ' ')}: {REASONS.get(value, 'unknown reason code')}"
        hint = _HINTS.get((kind, value), "")
    elif head == "tls":
        words = tail.replace("_", " ")
        hint = next((hint for part, hint in _TLS_HINTS if part in cause), "")
    else:
        words, hint = _CAUSES.get(cause, (cause.replace("_", " "), ""))
        if (phase, cause) == ("connack", "timeout"):
            hint = "RabbitMQ answers after 63 s when the session's queue is on a node that was killed"
    return (f"{_PHASES[phase]}: {words}" if phase else words), hint


def code_lines(codes: Mapping[str, Any]) -> list[CodeLine]:
    """Put all codes of a result into words, sections in reading order, the most frequent first."""
    kinds = [kind for kind, _ in SECTIONS] + [kind for kind in codes if kind not in dict(SECTIONS)]
    return [
        explain(kind, str(code), int(times))
        for kind in kinds
        for code, times in sorted((codes.get(kind) or {}).items(), key=lambda item: (-item[1], item[0]))
        if times
    ]
