"""What a PUBLISH or a subscription may ask for besides topic, payload and QoS: made once, used many times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """Options and properties of a PUBLISH [§3.3.2.3]; one object serves every message of a stream."""

    retain: bool = False
    alias: bool = False
    """Name the topic once on each connection and then by a topic alias, as far as the broker allows some."""
    message_expiry: int | None = None
    """Seconds; not shortened when the publish is sent again after a resume, as the session has no clock."""
    content_type: str | None = None
    user_properties: list[tuple[str, str]] = field(default_factory=list)


class Subscription(NamedTuple):
    """One topic filter of a SUBSCRIBE with its options [§3.8.3.1]."""

    pattern: str
    qos: int
    """The highest to be delivered with, 0 or 1."""
    no_local: bool = False
    """Do not deliver what this client published itself."""
    retain_as_published: bool = False
    """Keep the retain flag as the publisher set it; else it marks what was retained before we subscribed."""
    retain_handling: int = 0
    """Retained messages are sent: 0 at every subscription, 1 at a new one only, 2 never."""
