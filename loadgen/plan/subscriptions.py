"""The subscriptions of clients, and what `no_local` keeps from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loadgen.plan.topics import filter_matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadgen.plan.plan import ClientPlan
    from loadgen.scenario.model import Group, Subscribe


class FilterPlan(NamedTuple):
    """One subscription of a client, with its options [§3.8.3.1]."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    """Retained messages are sent: 0 at every subscription, 1 at a new one only, 2 never."""
    identifier: int | None = None


_RETAIN_HANDLING = {"always": 0, "new": 1, "never": 2}


def client_filters(group: Group, fields: Mapping[str, object]) -> tuple[FilterPlan, ...]:
    """The filters of a client, those of one subscription identifier together: they share a SUBSCRIBE."""
    by_identifier: dict[int | None, list[FilterPlan]] = {}
    for entry in group.subscribe:
        by_identifier.setdefault(entry.subscription_identifier, []).append(_filter(entry, fields))
    return tuple(each for together in by_identifier.values() for each in together)


def _filter(entry: Subscribe, fields: Mapping[str, object]) -> FilterPlan:
    return FilterPlan(
        entry.filter.render(fields),
        entry.qos,
        entry.no_local,
        entry.retain_as_published,
        _RETAIN_HANDLING[entry.retain_handling],
        entry.subscription_identifier,
    )


def own_deliveries(
    clients: list[ClientPlan], matches: list[tuple[tuple[int, int], ...]]
) -> Iterator[tuple[int, int]]:
    """What clients with `no_local` get of their own messages: (publisher, QoS), or -1 for nothing.

    A message comes to its own client by any matching filter that does not say no_local [MQTT-3.8.3-3].
    """
    for client in clients:
        if not any(each.no_local for each in client.filters):
            continue
        for stream in client.streams:
            if not any(subscriber == client.number for subscriber, _ in matches[stream.publisher]):
                continue
            open_to_itself = (
                each.qos
                for each in client.filters
                if not each.no_local and filter_matches(each.filter, stream.topic)
            )
            yield stream.publisher, max(open_to_itself, default=-1)
