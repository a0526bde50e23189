"""The MQTT state a fake broker keeps per client id: subscriptions, window and what waits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mqtt5 import PublishPacket, QoS, TopicFilter

from tests.fakes.topics import matches

if TYPE_CHECKING:
    from collections.abc import Callable

_QOS = (QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE)


@dataclass
class BrokerSession:
    """One client's session; `send` writes to its connection and is None while it is away."""

    client_id: str
    expiry: int = 0
    window: int = 65_535
    """The client's receive maximum."""
    send: Callable[[bytes], None] | None = None
    subscriptions: dict[str, int] = field(default_factory=dict)
    options: dict[str, TopicFilter] = field(default_factory=dict)
    """Topic filter → what its SUBSCRIBE asked for."""
    identifiers: dict[str, int] = field(default_factory=dict)
    """Topic filter → its subscription identifier."""
    inflight: dict[int, PublishPacket] = field(default_factory=dict)
    """Packet id → QoS 1 message delivered and not acknowledged."""
    queued: deque[PublishPacket] = field(default_factory=deque)
    """QoS 1 messages that wait for the window or for the client."""
    held: list[PublishPacket] = field(default_factory=list)
    """Messages held back so that the next one overtakes them."""
    last_id: int = 0

    def taking(self, topic: str, *, own: bool = False) -> list[str]:
        """Give the filters that take a topic; of an `own` message those without no_local."""
        return [
            pattern
            for pattern in self.subscriptions
            if matches(pattern, topic)
            and not (own and pattern in self.options and self.options[pattern].no_local)
        ]

    def granted(self, topic: str, *, own: bool = False) -> int | None:
        """Give the highest QoS of the subscriptions that take a topic; None when there are none."""
        return max((self.subscriptions[pattern] for pattern in self.taking(topic, own=own)), default=None)

    def addressed(self, message: PublishPacket, *, own: bool = False) -> PublishPacket:
        """Give a message as this session is to see it: its identifiers, and the retain flag if asked for."""
        filters = self.taking(message.topic, own=own)
        asked = [self.options[pattern] for pattern in filters if pattern in self.options]
        return replaced(
            message,
            retain=message.retain and any(each.retain_as_published for each in asked),
            subscription_ids=[self.identifiers[each] for each in filters if each in self.identifiers],
        )

    def deliver(self, message: PublishPacket) -> None:
        """Send a message, or keep it when it is QoS 1 and cannot go now."""
        if message.qos == QoS.AT_LEAST_ONCE:
            self.queued.append(message)
            self.advance()
        elif self.send is not None:
            self.send(message.write())

    def advance(self) -> None:
        """Send queued messages as far as the window allows."""
        while self.send is not None and self.queued and len(self.inflight) < self.window:
            self.last_id = self.last_id % 65_535 + 1
            while self.last_id in self.inflight:
                self.last_id = self.last_id % 65_535 + 1
            message = outgoing(self.queued.popleft(), 1, packet_id=self.last_id)
            self.inflight[self.last_id] = message
            self.send(message.write())

    def acknowledge(self, packet_id: int) -> None:
        """End a delivery."""
        self.inflight.pop(packet_id, None)
        self.advance()

    def resume(self) -> None:
        """Send unacknowledged messages again, marked, then what was queued."""
        assert self.send is not None
        for packet_id, message in self.inflight.items():
            self.send(outgoing(message, 1, packet_id=packet_id, duplicate=True).write())
        self.advance()


def replaced(message: PublishPacket, **changes: Any) -> PublishPacket:  # noqa: ANN401 - the packet's own
    """Copy a message with some things changed."""
    kept = {name: getattr(message, name) for name in _COPIED} | changes
    topic, payload = kept.pop("topic"), kept.pop("payload")
    return PublishPacket(topic, payload, **kept)


_COPIED = (
    "topic",
    "payload",
    "qos",
    "retain",
    "packet_id",
    "duplicate",
    "message_expiry_interval",
    "content_type",
    "user_properties",
    "subscription_ids",
)


def outgoing(
    message: PublishPacket, qos: int, *, packet_id: int | None = None, duplicate: bool = False
) -> PublishPacket:
    """Copy a message for delivery at a QoS; the codec wants some packet id even while it is only queued."""
    return replaced(message, qos=_QOS[qos], packet_id=packet_id, duplicate=duplicate)
