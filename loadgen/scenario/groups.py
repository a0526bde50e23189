"""The `groups:` section: clients that are alike, and what they do."""

from __future__ import annotations

from dataclasses import dataclass
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

from loadgen.scenario.base import Flag, Name, Positive, Strict, Text, Whole, malformed, one_or_many
from loadgen.scenario.template import ClientTemplate, ConnectedTemplate, Template
from loadgen.scenario.units import (
    NS_PER_S,
    Rate,
    Seconds,
    Size,
    format_duration,
    parse_duration,
)

HEADER_SIZE = 32
"""Smallest payload in bytes: the header that names run, publisher, sequence and intended time."""
MAX_PAYLOAD = 268_435_455
"""Largest MQTT packet body in bytes [MQTT-1.5.5]; brokers usually allow less."""
MAX_KEEP_ALIVE = 65_535 * NS_PER_S
MAX_EXPIRY = 0xFFFF_FFFF * NS_PER_S


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


def _payload(size: int) -> int:
    if size < HEADER_SIZE:
        raise malformed(
            f"{size}B is too small for the header that names publisher, sequence and time",
            f"write {HEADER_SIZE}B or more",
        )
    if size > MAX_PAYLOAD:
        raise malformed("is more than an MQTT packet can hold", "write 256MB or less")
    return size


class Publish(Strict):
    """One stream of messages from each client of the group."""

    topic: ConnectedTemplate
    """Where to; no wildcards. RabbitMQ treats `.` in it as `/`."""
    qos: Qos
    """0 or 1."""
    rate: Rate | None = None
    """Messages per second of each client; either this or `total_rate`."""
    total_rate: Rate | None = None
    """Messages per second of the whole group, shared evenly by its clients."""
    payload: Annotated[Size, AfterValidator(_payload)] = 256
    """Bytes of each message, at least 32: the header that names publisher, sequence and time."""
    arrival: Literal["constant", "poisson"] = "constant"
    """Even spacing, or independent arrivals with exponential gaps."""

    @model_validator(mode="after")
    def _one_rate(self) -> Publish:
        if (self.rate is None) == (self.total_rate is None):
            raise malformed(
                "needs exactly one of rate and total_rate",
                "rate is per client, total_rate is the whole group's: write for example rate: 0.5/s",
            )
        return self


class Subscribe(Strict):
    """One subscription of each client of the group."""

    filter: ConnectedTemplate
    """Topic filter; `+` and `#` allowed, shared subscriptions not (RabbitMQ has none)."""
    qos: Qos
    """0 or 1: the highest QoS to be delivered with."""


def _expiry(value: int) -> int:
    if value > MAX_EXPIRY:
        raise malformed("is more than MQTT can carry", "write 4294967295s or less")
    return value


class SessionSettings(Strict):
    """What the broker keeps for a client between connections."""

    clean_start: Flag = True
    """Drop what the broker still holds, at the first connection and every reconnect."""
    expiry: Annotated[Seconds, AfterValidator(_expiry)] = 0
    """How long the broker keeps the session after a loss; `0s` ends it with the connection."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the exponential wait between attempts to reconnect, in nanoseconds."""

    min: int
    max: int

    def __str__(self) -> str:
        """`200ms..10s`."""
        return f"{format_duration(self.min)}..{format_duration(self.max)}"


def _backoff(value: object) -> Backoff:
    if isinstance(value, Backoff):
        return value
    first, dots, last = value.partition("..") if isinstance(value, str) else (value, "", "")
    minimum = parse_duration(first)
    maximum = parse_duration(last) if dots else minimum
    if minimum == 0 or minimum > maximum:
        raise malformed(f'"{value}" is no range of waits', "write the shorter first: 200ms..10s")
    return Backoff(minimum, maximum)


class Reconnect(Strict):
    """What a client does when it loses its connection."""

    backoff: Annotated[
        Backoff,
        PlainValidator(_backoff),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "examples": ["200ms..10s", "1s"]}),
    ] = Backoff(200_000_000, 10 * NS_PER_S)
    """Shortest and longest wait before an attempt; doubled each time, with jitter."""
    max_attempts: Positive | None = None
    """Give up after so many in a row; never when left out."""
    enabled: Flag = True
    """Reconnect at all."""


UserProperty = tuple[Text, ConnectedTemplate]


def _pairs(value: object) -> object:
    if isinstance(value, dict):
        return tuple(value.items())
    if not isinstance(value, list | tuple):
        raise malformed("must be names with values", 'write for example {site: north, name: "{cn}"}')
    return value


def _without_pairs(pairs: tuple[tuple[str, Template], ...]) -> dict[str, str] | list[list[str]]:
    """Write a mapping, or a list of pairs when a name comes twice, as MQTT allows."""
    if len({name for name, _ in pairs}) == len(pairs):
        return {name: template.text for name, template in pairs}
    return [[name, template.text] for name, template in pairs]


UserProperties = Annotated[
    tuple[UserProperty, ...],
    BeforeValidator(_pairs, json_schema_input_type=dict[str, ConnectedTemplate] | list[UserProperty]),
    PlainSerializer(_without_pairs),
]


def _keep_alive(value: int) -> int:
    if value > MAX_KEEP_ALIVE:
        raise malformed("is more than MQTT can carry", "write 65535s or less")
    return value


class Group(Strict):
    """A number of clients that are alike."""

    clients: Positive
    """How many."""
    identity: Name
    """The set in `identities:` that they take their certificates from: client i takes the (i mod size)-th."""
    client_id: ClientTemplate = Template("{cn}")
    """MQTT client id; must differ for every client of the scenario."""
    user_properties: UserProperties = ()
    """CONNECT user properties in order: a mapping, or a list of [name, value]."""
    session: SessionSettings = SessionSettings()
    """What the broker keeps between connections."""
    keep_alive: Annotated[Seconds, AfterValidator(_keep_alive)] = 60 * NS_PER_S
    """Longest silence; `0s` turns it off."""
    receive_maximum: Annotated[int, Field(strict=True, ge=1, le=65_535)] = 65_535
    """Unacknowledged QoS 1 messages that the broker may send at a time."""
    max_backlog: Whole = 1000
    """Messages that may wait in a client that cannot send; what is due beyond is dropped and counted."""
    reconnect: Reconnect = Reconnect()
    """What to do after a loss."""
    publish: Annotated[
        tuple[Publish, ...], BeforeValidator(one_or_many, json_schema_input_type=Publish | list[Publish])
    ] = ()
    """What each client publishes: one stream, or a list."""
    subscribe: Annotated[
        tuple[Subscribe, ...],
        BeforeValidator(one_or_many, json_schema_input_type=Subscribe | list[Subscribe]),
    ] = ()
    """What each client subscribes to: one filter, or a list."""
