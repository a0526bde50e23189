"""Wills, and the one packet that must carry them: CONNECT, of which RabbitMQ takes 64 KiB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.plan.payload import HEADER_SIZE, body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.scenario.model import Will

_NANOSECONDS = 1_000_000_000
MAX_CONNECT = 65_536
"""Bytes of the largest packet that RabbitMQ takes before the login (mqtt.max_packet_size_unauthenticated)."""
_FIXED = 48
"""Most bytes of a CONNECT besides its texts: header, protocol name, flags, keep-alive, numeric properties."""


@dataclass(frozen=True, slots=True)
class WillPlan:
    """What the broker is to publish when a client is gone without a DISCONNECT."""

    topic: str
    qos: int
    retain: bool
    delay: int
    """Seconds."""
    content: bytes
    """What follows the payload's header."""


def plan_will(will: Will, content: bytes | None, fields: Mapping[str, object]) -> WillPlan:
    """One client's will; `content` is that of its payload's file, if it has one.

    Raises:
        ConfigError: a template asks for a field that the client's certificate lacks.
    """
    if content is None:
        template = will.payload.template
        size = (will.payload.size or HEADER_SIZE) - HEADER_SIZE
        content = body(size) if template is None else template.render(fields).encode()
    return WillPlan(will.topic.render(fields), will.qos, will.retain, will.delay // _NANOSECONDS, content)


def connect_size(client_id: str, user_properties: Iterable[tuple[str, str]], will: WillPlan | None) -> int:
    """Bytes of a client's CONNECT, or up to 30 more [§3.1]."""
    size = _FIXED + len(client_id.encode())
    size += sum(5 + len(name.encode()) + len(value.encode()) for name, value in user_properties)
    if will is not None:
        size += 12 + len(will.topic.encode()) + HEADER_SIZE + len(will.content)
    return size


def connect_fault(client_id: str, user_properties: Iterable[tuple[str, str]], will: WillPlan | None) -> str:
    """What is wrong with the size of a client's CONNECT, empty when nothing is."""
    size = connect_size(client_id, user_properties, will)
    if size <= MAX_CONNECT:
        return ""
    return (
        f"CONNECT has {size:,} bytes with client id, user properties and will, and RabbitMQ takes "
        f"{MAX_CONNECT:,} before the login"
    )
