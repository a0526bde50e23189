"""A scenario and a seed become a plan: every client, topic, subscription and expected delivery in numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError, Problem
from loadgen.plan.names import faults
from loadgen.plan.pacer import ConstantPacer, Pacer, PoissonPacer, splitmix64
from loadgen.plan.schedule import segments
from loadgen.plan.settings import GroupSettings, TargetSettings, group_settings, target_settings
from loadgen.plan.topics import FilterIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.identity.identity import Identity
    from loadgen.plan.schedule import Segment
    from loadgen.scenario.model import Group, Publish, Scenario


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One publishing client's stream of messages."""

    publisher: int
    """Its number in the run: what the payload header carries."""
    stream: int
    """The number of the stream definition (one `publish` entry of a group) it belongs to."""
    topic: str
    qos: int
    fanout: int
    """How many planned subscribers match the topic: expected deliveries per message."""


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client, fully decided."""

    number: int
    """Its number in the run, over all groups; the subscriber number in the ledger."""
    group: str
    index: int
    """Its place in its group, from 0."""
    identity: Identity
    client_id: str
    user_properties: tuple[tuple[str, str], ...]
    streams: tuple[StreamPlan, ...]
    filters: tuple[tuple[str, int], ...]
    """(topic filter, QoS) of each subscription."""
    nodes: tuple[int, ...]
    """Node numbers in the order in which this client tries them."""


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
    """Bytes, header included."""
    qos: int
    arrival: str
    seed: int

    def pacer(self, indices: Sequence[int]) -> Pacer:
        """The pacer of the clients `indices` (their places in the group, sorted)."""
        if self.arrival == "poisson":
            return PoissonPacer(indices, self.rate, self.seed)
        return ConstantPacer(indices, self.clients, self.rate)


@dataclass(frozen=True, slots=True)
class Shard:
    """What one worker runs: a plain value that travels to it."""

    number: int
    workers: int
    clients: list[ClientPlan]
    definitions: tuple[StreamDefinition, ...]
    segments: dict[str, Segment]
    """Hold stage name → its place in load time."""
    groups: dict[str, GroupSettings]
    target: TargetSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen, decided before anything happens. The same scenario and seed give an equal plan."""

    scenario: Scenario
    clients: list[ClientPlan]
    definitions: tuple[StreamDefinition, ...]
    segments: dict[str, Segment]
    matches: list[tuple[tuple[int, int], ...]] = field(repr=False)
    """Publisher number → its (subscriber, QoS asked for); equal sets are one shared tuple."""

    @property
    def publishers(self) -> int:
        """How many publisher streams there are."""
        return len(self.matches)

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Every (publisher, subscriber, effective QoS) the ledger keeps account of.

        The effective QoS is the lower of the publish's and the subscription's [MQTT-3.8.4-8].
        """
        for client in self.clients:
            for stream in client.streams:
                for subscriber, asked in self.matches[stream.publisher]:
                    yield stream.publisher, subscriber, min(stream.qos, asked)

    def shard(self, number: int, workers: int) -> Shard:
        """Every `workers`-th client from `number` on: all groups spread evenly over the workers."""
        return Shard(
            number,
            workers,
            self.clients[number::workers],
            self.definitions,
            self.segments,
            group_settings(self.scenario),
            target_settings(self.scenario),
        )


def make_plan(scenario: Scenario, identities: Mapping[str, Sequence[Identity]]) -> Plan:
    """Decide everything that can be decided before the run.

    Args:
        scenario: the checked scenario.
        identities: identity set name → its identities, in index order.

    Raises:
        ConfigError: what can be seen only now, with the certificates at hand: duplicate client ids, an empty
            identity set, a client id, topic or filter that MQTT does not allow, a field that a certificate
            lacks.
    """
    clients: list[ClientPlan] = []
    problems: list[Problem] = []
    definitions = _definitions(scenario)
    index = FilterIndex()
    topics: list[str] = []
    owners: dict[str, str] = {}
    nodes = max(len(scenario.target.uris), 1)
    for group_name, group in scenario.groups.items():
        if not identities[group.identity]:
            problems.append(
                Problem("", f"identity set {group.identity!r} is empty", "issue or add certificates")
            )
            continue
        own = [definition for definition in definitions if definition.group == group_name]
        for place in range(group.clients):
            identity = identities[group.identity][place % len(identities[group.identity])]
            fields: dict[str, object] = {**identity.template_fields(), "index": place, "group": group_name}
            where = f"groups.{group_name}[{place}]"
            number = len(clients)
            try:
                client_id = group.client_id.render(fields)
                fields["client_id"] = client_id
                filters = tuple((entry.filter.render(fields), entry.qos) for entry in group.subscribe)
                streams = _streams(group, own, fields, topics)
                properties = tuple((name, value.render(fields)) for name, value in group.user_properties)
            except ConfigError as error:
                problems += [Problem(where, each.what, each.mend) for each in error.problems]
                break
            if client_id in owners:
                problems.append(_duplicate(client_id, owners[client_id], where))
            owners[client_id] = where
            problems += [
                Problem(where, fault, f"the certificate is {identity.certificate}: use other fields of it")
                for fault in faults(
                    client_id, (each.topic for each in streams), (each[0] for each in filters), properties
                )
            ]
            if len(problems) >= _MOST_PROBLEMS:
                raise ConfigError(problems[:_MOST_PROBLEMS])
            for topic_filter, qos in filters:
                index.add(topic_filter, number, qos)
            order = _node_order(scenario.target.spread, number, nodes, scenario.seed)
            clients.append(
                ClientPlan(
                    number, group_name, place, identity, client_id, properties, streams, filters, order
                )
            )
    if problems:
        raise ConfigError(problems)
    matches = [index.match(topic) for topic in topics]
    clients = [_with_fanout(client, matches) for client in clients]
    holds = [stage for stage in scenario.stages if stage.kind == "hold"]
    laid = segments([(stage.hold or 0, stage.load.start, stage.load.end) for stage in holds])
    return Plan(
        scenario,
        clients,
        tuple(definitions),
        {stage.name: segment for stage, segment in zip(holds, laid, strict=True)},
        matches,
    )


_MOST_PROBLEMS = 20


def _definitions(scenario: Scenario) -> list[StreamDefinition]:
    definitions: list[StreamDefinition] = []
    for group_name, group in scenario.groups.items():
        for entry in group.publish:
            number = len(definitions)
            definitions.append(
                StreamDefinition(
                    number,
                    group_name,
                    group.clients,
                    client_rate(entry, group.clients),
                    entry.payload,
                    entry.qos,
                    entry.arrival,
                    splitmix64((scenario.seed << 16) + number),
                )
            )
    return definitions


def client_rate(entry: Publish, clients: int) -> float:
    """Messages per second of one client of a group that has `clients`."""
    return entry.rate if entry.rate is not None else (entry.total_rate or 0.0) / clients


def _streams(
    group: Group, definitions: list[StreamDefinition], fields: Mapping[str, object], topics: list[str]
) -> tuple[StreamPlan, ...]:
    streams: list[StreamPlan] = []
    for entry, definition in zip(group.publish, definitions, strict=True):
        topic = entry.topic.render(fields)
        streams.append(StreamPlan(len(topics), definition.number, topic, entry.qos, 0))
        topics.append(topic)
    return tuple(streams)


def _with_fanout(client: ClientPlan, matches: list[tuple[tuple[int, int], ...]]) -> ClientPlan:
    if not client.streams:
        return client
    streams = tuple(
        StreamPlan(each.publisher, each.stream, each.topic, each.qos, len(matches[each.publisher]))
        for each in client.streams
    )
    return ClientPlan(
        client.number,
        client.group,
        client.index,
        client.identity,
        client.client_id,
        client.user_properties,
        streams,
        client.filters,
        client.nodes,
    )


def _node_order(spread: str, number: int, nodes: int, seed: int) -> tuple[int, ...]:
    if spread == "in-order":
        return tuple(range(nodes))
    if spread == "random":
        order = list(range(nodes))
        random.Random(splitmix64((seed << 32) + number)).shuffle(order)
        return tuple(order)
    return tuple((number + step) % nodes for step in range(nodes))


def _duplicate(client_id: str, first: str, second: str) -> Problem:
    return Problem(
        "",
        f"client id {client_id!r} is used by {first} and by {second}",
        "make it unique, for example with {index} or {group}; the broker closes the older of two equal ids",
    )
