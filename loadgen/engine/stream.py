"""One stream of messages of one client."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from loadgen.metrics.delivery import PublisherLog

if TYPE_CHECKING:
    from loadgen.engine.client_sending import Sending
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import StreamPlan


class Stream:
    """One stream of one client, with its account of what was sent and acknowledged."""

    __slots__ = ("client", "fanout", "log", "payloads", "publisher", "qos", "topic")

    def __init__(self, client: Sending, plan: StreamPlan, payloads: PayloadFactory) -> None:
        """Start with nothing sent."""
        self.client = client
        self.publisher = plan.publisher
        self.topic = plan.topic
        self.qos = plan.qos
        self.fanout = plan.fanout
        self.payloads = payloads
        self.log = PublisherLog(plan.qos)


InFlight: TypeAlias = "tuple[Stream, int, int, int]"
"""What a QoS 1 publish carries until its PUBACK: stream, sequence, intended ns, sent ns."""
