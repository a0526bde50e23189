"""The streams that clients publish: their topics, lanes, payloads and options, decided before the run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError, Problem
from loadgen.plan.pacer import ConstantPacer, Pacer, PoissonPacer, splitmix64
from loadgen.plan.payload import HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.scenario.model import Group, Payload, Publish, Scenario

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """What the messages of a stream carry besides topic, payload and QoS."""

    retain: bool = False
    topic_alias: bool = False
    message_expiry: int | None = None
    """Seconds."""
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


PLAIN = PublishSettings()


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One publishing client's messages to one topic."""

    publisher: int
    """Its number in the run: what the payload header carries."""
    stream: int
    """The number of the stream definition (one `publish` entry of a group) it belongs to; the lanes of a
    client have one in common."""
    topic: str
    qos: int
    fanout: int
    """How many planned subscribers match the topic: expected deliveries per message."""
    settings: PublishSettings | None = None
    """None: nothing but topic, payload and QoS."""
    content: bytes | None = None
    """What follows the payload's header, where it is this client's own; None: as the definition says."""


@dataclass(frozen=True, slots=True)
class StreamDefinition:
    """One `publish` entry of a group: what its streams have in common."""

    number: int
    group: str
    clients: int
    """How many clients of the group publish this stream (all of them)."""
    rate: float
    """Messages per second of each client at 100 % load."""
    payload: int
    """Bytes, header included; of the largest, where each client has its own."""
    qos: int
    arrival: str
    seed: int
    lanes: int = 1
    """Topics among which each client chooses for every message; each is a publisher of its own."""
    content: bytes | None = None
    """What follows the payload's header when it came from a file."""
    message_expiry: int | None = None
    """Seconds."""

    def pacer(self, indices: Sequence[int]) -> Pacer:
        """The pacer of the clients `indices` (their places in the group, sorted)."""
        if self.arrival == "poisson":
            return PoissonPacer(indices, self.rate, self.seed)
        return ConstantPacer(indices, self.clients, self.rate)

    def choice_seed(self, index: int) -> int:
        """The seed from which the client at a place in the group chooses its lanes."""
        return splitmix64(self.seed ^ splitmix64(index))


def define_streams(scenario: Scenario) -> list[StreamDefinition]:
    """The definitions of all groups, numbered in the scenario's order; reads payload files.

    Raises:
        ConfigError: a payload file cannot be read.
    """
    definitions: list[StreamDefinition] = []
    for group_name, group in scenario.groups.items():
        for place, entry in enumerate(group.publish):
            number = len(definitions)
            content = read_content(entry.payload, f"groups.{group_name}.publish[{place}].payload.file")
            definitions.append(
                StreamDefinition(
                    number,
                    group_name,
                    group.clients,
                    client_rate(entry, group.clients),
                    entry.payload.size or HEADER_SIZE + len(content or b""),
                    entry.qos,
                    entry.arrival,
                    splitmix64((scenario.seed << 16) + number),
                    entry.lanes.count if entry.lanes and entry.lanes.choose == "random" else 1,
                    content,
                    None if entry.message_expiry is None else entry.message_expiry // _NANOSECONDS,
                )
            )
    return definitions


def client_rate(entry: Publish, clients: int) -> float:
    """Messages per second of one client of a group that has `clients`."""
    return entry.rate if entry.rate is not None else (entry.total_rate or 0.0) / clients


def read_content(payload: Payload, where: str) -> bytes | None:
    """The bytes of a payload's file; None when it has none.

    Raises:
        ConfigError: it cannot be read.
    """
    if payload.file is None:
        return None
    try:
        return Path(payload.file).read_bytes()
    except OSError as error:
        what = f"the payload file {payload.file} cannot be read: {error.strerror or error}"
        raise ConfigError([Problem(where, what, "paths are relative to the working directory")]) from None


def client_streams(
    group: Group, definitions: Sequence[StreamDefinition], fields: Mapping[str, object], first: int
) -> tuple[StreamPlan, ...]:
    """The streams of one client, their publishers numbered from `first`; their fan-out is not known yet.

    Raises:
        ConfigError: a template asks for a field that the client's certificate lacks.
    """
    streams: list[StreamPlan] = []
    for entry, definition in zip(group.publish, definitions, strict=True):
        settings = _settings(entry, fields)
        template = entry.payload.template
        content = None if template is None else template.render(fields).encode()
        for lane in _lanes(entry, str(fields["client_id"])):
            topic = entry.topic.render(fields if entry.lanes is None else {**fields, "lane": lane})
            publisher = first + len(streams)
            streams.append(StreamPlan(publisher, definition.number, topic, entry.qos, 0, settings, content))
    return tuple(streams)


def _lanes(entry: Publish, client_id: str) -> Sequence[int]:
    if entry.lanes is None:
        return (0,)
    if entry.lanes.choose == "random":
        return range(entry.lanes.count)
    digest = hashlib.blake2b(client_id.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") % entry.lanes.count,)


def _settings(entry: Publish, fields: Mapping[str, object]) -> PublishSettings | None:
    settings = PublishSettings(
        entry.retain,
        entry.topic_alias,
        None if entry.message_expiry is None else entry.message_expiry // _NANOSECONDS,
        entry.content_type,
        tuple((name, value.render(fields)) for name, value in entry.user_properties),
    )
    return None if settings == PLAIN else settings
