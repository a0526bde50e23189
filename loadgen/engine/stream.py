"""One stream of messages of one client."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeAlias

from loadgen.metrics.delivery import PublisherLog
from loadgen.mqtt.options import PublishOptions
from loadgen.plan.pacer import splitmix64

if TYPE_CHECKING:
    from loadgen.engine.client_sending import Sending
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.streams import PublishSettings, StreamPlan


class Stream:
    """One stream of one client to one topic, with its account of what was sent and acknowledged."""

    __slots__ = ("client", "fanout", "lanes", "log", "options", "payloads", "publisher", "qos", "topic")

    def __init__(self, client: Sending, plan: StreamPlan, payloads: PayloadFactory) -> None:
        """Start with nothing sent."""
        self.client = client
        self.publisher = plan.publisher
        self.topic = plan.topic
        self.qos = plan.qos
        self.fanout = plan.fanout
        self.payloads = payloads
        self.options = None if plan.settings is None else _options(plan.settings)
        self.log = PublisherLog(plan.qos)
        self.lanes: Lanes | None = None
        """Where several topics share one schedule: the choice among them. Only the first of them has it."""


@functools.lru_cache(maxsize=256)
def _options(settings: PublishSettings) -> PublishOptions:
    """One object for all streams that have the same options."""
    return PublishOptions(
        settings.retain,
        settings.topic_alias,
        settings.message_expiry,
        settings.content_type,
        list(settings.user_properties),
    )


class Lanes:
    """Chooses one of a client's streams for each message, by chance that a seed decides."""

    __slots__ = ("_state", "_streams")

    def __init__(self, streams: list[Stream], seed: int) -> None:
        """Choose among `streams`."""
        self._streams = streams
        self._state = seed

    def choose(self) -> Stream:
        """The stream of the next message."""
        self._state = state = splitmix64(self._state)
        return self._streams[state % len(self._streams)]


InFlight: TypeAlias = "tuple[Stream, int, int, int]"
"""What a QoS 1 publish carries until its PUBACK: stream, sequence, intended ns, sent ns."""
