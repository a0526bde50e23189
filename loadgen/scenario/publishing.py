"""What clients publish: streams of messages, their payloads, topics and options; and wills."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from loadgen.scenario.base import Flag, Positive, Strict, Text, malformed
from loadgen.scenario.properties import UserProperties
from loadgen.scenario.template import ConnectedTemplate, TopicTemplate
from loadgen.scenario.units import NS_PER_S, Rate, Seconds, Size, format_size

HEADER_SIZE = 32
"""Smallest payload in bytes: the header that names run, publisher, sequence and intended time."""
MAX_PAYLOAD = 268_435_455
"""Largest MQTT packet body in bytes [MQTT-1.5.5]; brokers usually allow less."""
MAX_INTERVAL = 0xFFFF_FFFF * NS_PER_S
MAX_LANES = 65_536


def _qos(value: object) -> int:
    if value == 2 and not isinstance(value, bool | float):
        raise malformed(
            "QoS 2 cannot be tested: RabbitMQ has none and answers a PUBLISH of it with DISCONNECT 0x9B",
            "write qos: 1",
        )
    if isinstance(value, bool) or not isinstance(value, int) or value not in {0, 1}:
        raise malformed(f"must be 0 or 1, not {value}", "write qos: 0 or qos: 1")
    return value


Qos = Annotated[
    int,
    PlainValidator(_qos),
    WithJsonSchema({"type": "integer", "enum": [0, 1]}),
]
"""0 or 1."""


def _size(size: int) -> int:
    if size < HEADER_SIZE:
        raise malformed(
            f"{size}B is too small for the header that names publisher, sequence and time",
            f"write {HEADER_SIZE}B or more",
        )
    if size > MAX_PAYLOAD:
        raise malformed("is more than an MQTT packet can hold", "write 256MB or less")
    return size


def _interval(value: int) -> int:
    if value > MAX_INTERVAL:
        raise malformed("is more than MQTT can carry", "write 4294967295s or less")
    return value


Interval = Annotated[Seconds, AfterValidator(_interval)]
"""Whole seconds that fit into four bytes."""


class Payload(Strict):
    """What follows the header: filler up to a size, a file's bytes, or a text of each client."""

    size: Annotated[Size, AfterValidator(_size)] | None = None
    """Bytes of the whole message, at least 32."""
    file: Text | None = None
    """File whose bytes follow the header, relative to the working directory."""
    template: ConnectedTemplate | None = None
    """Text that follows the header, rendered once for each client."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Payload:
        if sum(each is not None for each in (self.size, self.file, self.template)) != 1:
            raise malformed(
                "needs exactly one of size, file and template",
                'write a size such as 256B, {file: path} or {template: "text"}',
            )
        return self


def _payload(value: object) -> object:
    return value if isinstance(value, dict | Payload) else {"size": value}


def _written(payload: Payload) -> str | dict[str, str]:
    if payload.size is not None:
        return format_size(payload.size)
    return {"file": payload.file} if payload.file is not None else {"template": str(payload.template)}


PayloadField = Annotated[
    Payload,
    BeforeValidator(_payload, json_schema_input_type=Size | Payload),
    PlainSerializer(_written),
]
"""A size, `{file: path}` or `{template: text}`."""


class Lanes(Strict):
    """Spreads one stream over several topics, numbered by `{lane}`."""

    count: Annotated[Positive, Field(le=MAX_LANES)]
    """How many topics."""
    choose: Literal["random", "hashed"]
    """`random`: each message goes to one of them by (seeded) chance; `hashed`: each client has one."""


class Publish(Strict):
    """One stream of messages from each client of the group."""

    topic: TopicTemplate
    """Where to; no wildcards. RabbitMQ treats `.` in it as `/`."""
    qos: Qos
    """0 or 1."""
    rate: Rate | None = None
    """Messages per second of each client; either this or `total_rate`."""
    total_rate: Rate | None = None
    """Messages per second of the whole group, shared evenly by its clients."""
    payload: PayloadField = Payload.model_validate({"size": "256B"})
    """Bytes of each message, at least 32 (the header that names publisher, sequence and time); or what
    follows the header, as `{file: path}` or `{template: text}`."""
    arrival: Literal["constant", "poisson"] = "constant"
    """Even spacing, or independent arrivals with exponential gaps."""
    lanes: Lanes | None = None
    """Spread over several topics; the topic then holds `{lane}`."""
    retain: Flag = False
    """Ask the broker to keep the last message of each topic."""
    topic_alias: Flag = False
    """Name the topic once on each connection, and then by an alias as far as the broker allows some."""
    message_expiry: Interval | None = None
    """The broker drops a message that could not be delivered for so long."""
    content_type: Annotated[Text, Field(min_length=1, max_length=16_383)] | None = None
    """Content type that each message carries."""
    user_properties: UserProperties = ()
    """User properties of each message in order: a mapping, or a list of [name, value]."""

    @model_validator(mode="after")
    def _fits_together(self) -> Publish:
        if (self.rate is None) == (self.total_rate is None):
            raise malformed(
                "needs exactly one of rate and total_rate",
                "rate is per client, total_rate is the whole group's: write for example rate: 0.5/s",
            )
        if self.lanes is not None and "lane" not in self.topic.fields:
            raise malformed(
                "the topic is the same for all lanes",
                f'write for example topic: "{self.topic.text}/{{lane}}"',
            )
        if self.lanes is None and "lane" in self.topic.fields:
            raise malformed(
                "the topic has {lane}, and there are no lanes", "add lanes: {count: 16, choose: random}"
            )
        return self


class Will(Strict):
    """What the broker publishes when a client is gone without a DISCONNECT."""

    topic: ConnectedTemplate
    """Where to; no wildcards."""
    qos: Qos = 0
    """0 or 1."""
    payload: PayloadField = Payload.model_validate({"size": "32B"})
    """As in `publish`; the header marks it as a will, so that whoever receives it can tell."""
    retain: Flag = False
    """Ask the broker to keep it. RabbitMQ does not when there is a delay as well."""
    delay: Interval = 0
    """The broker waits so long, but not longer than it keeps the session; a client that is back in time has
    no will published."""
