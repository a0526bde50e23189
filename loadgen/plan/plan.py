"""A scenario and a seed become a plan: every client, topic, subscription and expected delivery in numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loadgen.errors import ConfigError, Problem
from loadgen.identity.identity import NO_CERTIFICATE
from loadgen.identity.login import user_name
from loadgen.plan.faults import FaultPlan, plan_faults
from loadgen.plan.logins import login_rule
from loadgen.plan.names import wrong_texts
from loadgen.plan.pacer import splitmix64
from loadgen.plan.payload import HEADER_SIZE
from loadgen.plan.schedule import segments
from loadgen.plan.settings import GroupSettings, TargetSettings, group_settings, target_settings
from loadgen.plan.streams import StreamDefinition, StreamPlan, client_streams, define_streams, read_content
from loadgen.plan.subscriptions import FilterPlan, client_filters, own_deliveries
from loadgen.plan.topics import FilterIndex
from loadgen.plan.wills import WillPlan, connect_fault, plan_will
from loadgen.scenario.clients import shares_ids
from loadgen.scenario.groups import NO_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadgen.identity.identity import Identity
    from loadgen.identity.login import LoginRule
    from loadgen.plan.schedule import Segment
    from loadgen.scenario.groups import Group
    from loadgen.scenario.model import Scenario


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
    filters: tuple[FilterPlan, ...]
    """Its subscriptions."""
    nodes: tuple[int, ...]
    """Node numbers in the order in which this client tries them."""
    will: WillPlan | None = None
    username: str | None = None
    """For CONNECT; None: the certificate says it all."""


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
    driver: str = "native"
    """The library that makes its connections, one of `engine.driver.DRIVERS`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen, decided before anything happens. The same scenario and seed give an equal plan."""

    scenario: Scenario
    clients: list[ClientPlan]
    definitions: tuple[StreamDefinition, ...]
    segments: dict[str, Segment]
    matches: list[tuple[tuple[int, int], ...]] = field(repr=False)
    """Publisher number → its (subscriber, QoS asked for); equal sets are one shared tuple."""
    own: dict[int, int] = field(repr=False, default_factory=dict)
    """Publisher number → QoS at which its own client gets its messages, where `no_local` makes a difference;
    -1: not at all."""
    driver: str = "native"
    """The library that makes the connections, one of `engine.driver.DRIVERS`."""
    faults: tuple[FaultPlan, ...] = ()
    """What is done to the target, in the order of time."""

    @property
    def publishers(self) -> int:
        """How many publisher streams there are."""
        return len(self.matches)

    @property
    def admitted(self) -> list[ClientPlan]:
        """The clients that the brokers are to let in: all but those of groups that expect a refusal."""
        refused = {name for name, group in self.scenario.groups.items() if group.refused}
        return [client for client in self.clients if client.group not in refused]

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Every (publisher, subscriber, effective QoS) the ledger keeps account of.

        The effective QoS is the lower of the publish's and the subscription's [MQTT-3.8.4-8].
        """
        for client in self.clients:
            for stream in client.streams:
                own = self.own.get(stream.publisher)
                for subscriber, asked in self.matches[stream.publisher]:
                    if own is None or subscriber != client.number:
                        yield stream.publisher, subscriber, min(stream.qos, asked)
                    elif own >= 0:
                        yield stream.publisher, subscriber, min(stream.qos, own)

    def expiring(self, seconds: float) -> set[int]:
        """The publishers whose messages may expire at the broker within a time."""
        short = {
            each.number
            for each in self.definitions
            if each.message_expiry is not None and each.message_expiry < seconds
        }
        return {
            stream.publisher for client in self.clients for stream in client.streams if stream.stream in short
        }

    @property
    def pair_count(self) -> int:
        """How many pairs of publisher and subscriber there are."""
        return sum(len(found) for found in self.matches) - sum(own < 0 for own in self.own.values())

    def shard(self, number: int, workers: int, via: Mapping[int, tuple[str, int]] | None = None) -> Shard:
        """Every `workers`-th client from `number` on: all groups spread evenly over the workers.

        Args:
            number: the shard's, from 0.
            workers: how many there are.
            via: node number → address to dial instead of the node's: a proxy before it.
        """
        return Shard(
            number,
            workers,
            self.clients[number::workers],
            self.definitions,
            self.segments,
            group_settings(self.scenario),
            replace(target_settings(self.scenario), via=dict(via or {})),
            self.driver,
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
    definitions = define_streams(scenario)
    index = FilterIndex()
    topics: list[str] = []
    silent: set[int] = set()
    owners: dict[str, tuple[str, str]] = {}
    rule = login_rule(scenario.target)
    nodes = max(len(scenario.target.uris), 1)
    for group_name, group in scenario.groups.items():
        given = identities[group.identity] if group.identity != NO_IDENTITY else (NO_CERTIFICATE,)
        if not given:
            problems.append(
                Problem("", f"identity set {group.identity!r} is empty", "issue or add certificates")
            )
            continue
        draft = _Draft(
            group_name,
            group,
            given,
            [definition for definition in definitions if definition.group == group_name],
            read_content(group.will.payload, f"groups.{group_name}.will.payload.file")
            if group.will
            else None,
        )
        for place in range(group.clients):
            where = f"groups.{group_name}[{place}]"
            number = len(clients)
            order = _node_order(scenario.target.spread, number, nodes, scenario.seed)
            try:
                client = draft.client(place, number, len(topics), order, rule)
            except ConfigError as error:
                problems += [Problem(where, each.what, each.mend) for each in error.problems]
                break
            if client.client_id in owners and not _takes_over(scenario, owners[client.client_id], group_name):
                problems.append(_duplicate(client.client_id, owners[client.client_id][1], where))
            owners[client.client_id] = group_name, where
            problems += _not_allowed(client, where)
            if len(problems) >= _MOST_PROBLEMS:
                raise ConfigError(problems[:_MOST_PROBLEMS])
            topics += (each.topic for each in client.streams)
            if group.refused:
                # Whom the brokers are to refuse is owed nothing, and nobody is owed anything of it.
                silent.update(each.publisher for each in client.streams)
            else:
                for each in client.filters:
                    index.add(each.filter, number, each.qos)
            clients.append(client)
    if problems:
        raise ConfigError(problems)
    found = {topic: index.match(topic) for topic in dict.fromkeys(topics)}
    matches = [found[topic] if number not in silent else () for number, topic in enumerate(topics)]
    not_to_itself = dict(own_deliveries(clients, matches))
    clients = [_with_fanout(client, matches, not_to_itself) for client in clients]
    holds = [stage for stage in scenario.stages if stage.kind == "hold"]
    laid = segments([(stage.hold or 0, stage.load.start, stage.load.end) for stage in holds])
    return Plan(
        scenario,
        clients,
        tuple(_with_largest_payload(definitions, clients)),
        {stage.name: segment for stage, segment in zip(holds, laid, strict=True)},
        matches,
        not_to_itself,
        faults=plan_faults(scenario),
    )


_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class _Draft:
    """A group on the way to its clients."""

    name: str
    group: Group
    identities: Sequence[Identity]
    definitions: list[StreamDefinition]
    will: bytes | None
    """What its will carries."""

    def client(
        self, place: int, number: int, first_publisher: int, nodes: tuple[int, ...], rule: LoginRule
    ) -> ClientPlan:
        """Decide one client.

        Raises:
            ConfigError: a template asks for a field that its certificate lacks.
        """
        group = self.group
        identity = self.identities[place % len(self.identities)]
        fields: dict[str, object] = {**identity.template_fields(), "index": place, "group": self.name}
        if user := user_name(identity, rule):
            fields["user"] = user
        fields["client_id"] = client_id = group.client_id.render(fields)
        return ClientPlan(
            number,
            self.name,
            place,
            identity,
            client_id,
            tuple((name, value.render(fields)) for name, value in group.user_properties),
            client_streams(group, self.definitions, fields, first_publisher),
            client_filters(group, fields),
            nodes,
            plan_will(group.will, self.will, fields) if group.will else None,
            group.username.render(fields) if group.username is not None else None,
        )


def _not_allowed(client: ClientPlan, where: str) -> Iterator[Problem]:
    """What MQTT does not allow of a client, or a broker does not take."""
    topics = [each.topic for each in client.streams]
    if client.will is not None:
        topics.append(client.will.topic)
    mend = (
        f"the certificate is {client.identity.certificate}: use other fields of it"
        if client.identity.shown
        else "use other fields"
    )
    for fault in wrong_texts(
        client.client_id,
        topics,
        (each.filter for each in client.filters),
        (*client.user_properties, *_stream_properties(client.streams)),
    ):
        yield Problem(where, fault, mend)
    if fault := connect_fault(client.client_id, client.user_properties, client.will):
        yield Problem(where, fault, "use a shorter will, or fewer user properties")


def _stream_properties(streams: Sequence[StreamPlan]) -> Iterator[tuple[str, str]]:
    for settings in {each.settings for each in streams if each.settings is not None}:
        yield from settings.user_properties


def _with_fanout(
    client: ClientPlan, matches: list[tuple[tuple[int, int], ...]], own: Mapping[int, int]
) -> ClientPlan:
    if not client.streams:
        return client
    streams = tuple(
        replace(each, fanout=len(matches[each.publisher]) - (own.get(each.publisher, 0) < 0))
        for each in client.streams
    )
    return replace(client, streams=streams)


def _with_largest_payload(
    definitions: list[StreamDefinition], clients: list[ClientPlan]
) -> Iterator[StreamDefinition]:
    """The definitions, with the size of the largest payload where each client has its own."""
    largest: dict[int, int] = {}
    for client in clients:
        for stream in client.streams:
            if stream.content is not None:
                size = HEADER_SIZE + len(stream.content)
                largest[stream.stream] = max(size, largest.get(stream.stream, 0))
    for each in definitions:
        yield replace(each, payload=largest[each.number]) if each.number in largest else each


def _node_order(spread: str, number: int, nodes: int, seed: int) -> tuple[int, ...]:
    if spread == "in-order":
        return tuple(range(nodes))
    if spread == "random":
        order = list(range(nodes))
        random.Random(splitmix64((seed << 32) + number)).shuffle(order)
        return tuple(order)
    return tuple((number + step) % nodes for step in range(nodes))


def _takes_over(scenario: Scenario, first: tuple[str, str], second: str) -> bool:
    """Whether two groups share client ids on purpose."""
    groups = scenario.groups
    return first[0] != second and (shares_ids(groups[first[0]]) or shares_ids(groups[second]))


def _duplicate(client_id: str, first: str, second: str) -> Problem:
    return Problem(
        "",
        f"client id {client_id!r} is used by {first} and by {second}",
        "make it unique, for example with {index} or {group}; the broker closes the older of two equal ids",
    )
