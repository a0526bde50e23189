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

from loadgen.scenario.base import Flag, Name, Positive, Strict, Whole, malformed, one_or_many
from loadgen.scenario.expecting import ExpectField
from loadgen.scenario.properties import UserProperties
from loadgen.scenario.publishing import Interval, Publish, Qos, Will
from loadgen.scenario.secret import Secret
from loadgen.scenario.template import ClientTemplate, ConnectedTemplate, Template
from loadgen.scenario.units import (
    NS_PER_S,
    Duration,
    PositiveDuration,
    Seconds,
    format_duration,
    parse_duration,
)

NO_IDENTITY = "none"
"""The identity of clients that show no certificate."""
MAX_KEEP_ALIVE = 65_535 * NS_PER_S


class Subscribe(Strict):
    """One subscription of each client of the group."""

    filter: ConnectedTemplate
    """Topic filter; `+` and `#` allowed, shared subscriptions not (RabbitMQ has none)."""
    qos: Qos
    """0 or 1: the highest QoS to be delivered with."""
    no_local: Flag = False
    """Not to be delivered what the client published itself."""
    retain_as_published: Flag = False
    """Deliver the retain flag as the publisher set it; else it marks what the broker had retained before."""
    retain_handling: Literal["always", "new", "never"] = "always"
    """Whether the broker sends retained messages: at every subscription, at a new one only, or never."""
    subscription_identifier: Annotated[int, Field(strict=True, ge=1, le=268_435_455)] | None = None
    """Number that messages delivered because of this filter carry."""


class SessionSettings(Strict):
    """What the broker keeps for a client between connections."""

    clean_start: Flag = True
    """Drop what the broker still holds, at the first connection and every reconnect."""
    expiry: Interval = 0
    """How long the broker keeps the session after a loss; `0s` ends it with the connection."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the exponential wait between attempts to reconnect, in nanoseconds; both 0: no wait."""

    min: int
    max: int

    def __str__(self) -> str:
        """`200ms..10s`, or `1s` when both are equal."""
        if self.min == self.max:
            return format_duration(self.min)
        return f"{format_duration(self.min)}..{format_duration(self.max)}"


def _backoff(value: object) -> Backoff:
    if isinstance(value, Backoff):
        return value
    first, dots, last = value.partition("..") if isinstance(value, str) else (value, "", "")
    minimum = parse_duration(first)
    maximum = parse_duration(last) if dots else minimum
    if minimum == 0 and maximum:
        raise malformed(
            f'"{value}" begins with no wait, and nothing doubled is nothing', "write 0s alone, or 1ms..10s"
        )
    if minimum > maximum:
        raise malformed(f'"{value}" is no range of waits', "write the shorter first: 200ms..10s")
    return Backoff(minimum, maximum)


class Reconnect(Strict):
    """What a client does when it loses its connection."""

    backoff: Annotated[
        Backoff,
        PlainValidator(_backoff),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "examples": ["200ms..10s", "1s", "0s"]}),
    ] = Backoff(200_000_000, 10 * NS_PER_S)
    """Shortest and longest wait before an attempt, doubled each time; `0s` never waits: a storm."""
    jitter: Literal["full", "none"] = "full"
    """`full`: each wait is by chance (that the seed decides) between the shortest and the doubled one;
    `none`: exactly the doubled one, so clients that were cut together come back together."""
    order: Literal["round-robin", "random", "in-order", "stick"] | None = None
    """Which node after a loss: the next one of `uris` (`round-robin`), another one by chance (`random`), from
    the first of `uris` on (`in-order`), or the same (`stick`); as `target.spread` says when left out."""
    max_attempts: Positive | None = None
    """Give up after so many in a row; never when left out."""
    enabled: Flag = True
    """Reconnect at all."""
    resume: Flag = True
    """Ask for the session that the broker kept; `false`: every reconnect has a clean start."""
    resend: Flag = True
    """Send unacknowledged publishes again; `false`: they are given up when the connection is lost."""
    tcp_timeout: PositiveDuration | None = None
    """As `target.timeouts.tcp`, for this group."""
    tls_timeout: PositiveDuration | None = None
    """As `target.timeouts.tls`, for this group."""
    connack_timeout: PositiveDuration | None = None
    """As `target.timeouts.connack`, for this group."""


def _keep_alive(value: int) -> int:
    if value > MAX_KEEP_ALIVE:
        raise malformed("is more than MQTT can carry", "write 65535s or less")
    return value


class Group(Strict):
    """A number of clients that are alike."""

    clients: Positive
    """How many."""
    identity: Name
    """The set in `identities:` that they take their certificates from: client i takes the (i mod size)-th;
    `none` has them show no certificate."""
    client_id: ClientTemplate = Template("{cn}")
    """MQTT client id; must differ for every client of the scenario."""
    username: ClientTemplate | None = None
    """User name in CONNECT; a user that brokers know by certificate needs none."""
    password: Secret | None = None
    """Password in CONNECT: where it is kept."""
    expect: ExpectField | None = None
    """How the brokers must answer each client; with a refusal, what these clients do is in no metric."""
    provision: Literal["as_used", "no_topics", "no_permissions", "no_user"] = "as_used"
    """What `loadgen provision` makes for them: users who may do what they do, who may use none of their
    topics, who have no permissions in the virtual host, or no users."""
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
    lifetime: PositiveDuration | None = None
    """Leave in good order after so long and come back: clients that come and go. The first leaving is spread
    evenly over one lifetime, from the first hold stage on; nobody leaves in a drain."""
    pause: Duration = 0
    """How long to stay away after a lifetime."""
    reconnect: Reconnect = Reconnect()
    """What to do after a loss."""
    publish: Annotated[
        tuple[Publish, ...], BeforeValidator(one_or_many, json_schema_input_type=Publish | list[Publish])
    ] = ()
    """What each client publishes: one stream, or a list."""
    will: Will | None = None
    """What the broker publishes when a client is gone without a DISCONNECT."""
    subscribe: Annotated[
        tuple[Subscribe, ...],
        BeforeValidator(one_or_many, json_schema_input_type=Subscribe | list[Subscribe]),
    ] = ()
    """What each client subscribes to: one filter, or a list."""

    @model_validator(mode="after")
    def _pauses_between_lifetimes(self) -> Group:
        if self.pause and self.lifetime is None:
            raise malformed("a pause comes after a lifetime, and there is none", "add lifetime: 30s")
        return self

    @property
    def refused(self) -> bool:
        """Whether the brokers are to refuse its clients."""
        return self.expect is not None and self.expect.refused
