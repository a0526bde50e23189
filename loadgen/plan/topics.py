"""Which subscriptions match which topics [MQTT-4.7]: an index over all filters of a plan."""

from __future__ import annotations

from typing import Any

_SUBSCRIBERS = "\0"


class FilterIndex:
    """Finds the subscribers of a topic without comparing every filter with every topic.

    Filters are kept in a trie by level; equal filters share a node, so thousands of subscribers
    of one filter cost one walk. Results are interned: topics with the same subscribers share one tuple.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._root: dict[str, Any] = {}
        self._interned: dict[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]] = {}

    def add(self, topic_filter: str, subscriber: int, qos: int) -> None:
        """Note that client `subscriber` asks for `topic_filter` at `qos`."""
        node = self._root
        for level in topic_filter.split("/"):
            node = node.setdefault(level, {})
        # Who subscribed here stands under a name that no level can have [MQTT-4.7.3-2].
        subscribers = node.setdefault(_SUBSCRIBERS, {})
        subscribers[subscriber] = max(qos, subscribers.get(subscriber, 0))

    def match(self, topic: str) -> tuple[tuple[int, int], ...]:
        """Give (client number, highest QoS asked for) of every client with a matching filter, sorted."""
        found: dict[int, int] = {}
        self._walk(self._root, topic.split("/"), 0, found)
        result = tuple(sorted(found.items()))
        return self._interned.setdefault(result, result)

    def _walk(self, node: dict[str, Any], levels: list[str], depth: int, found: dict[int, int]) -> None:
        # Wildcards at the first level do not match topics that start with "$" [MQTT-4.7.2-1].
        wild = depth > 0 or not levels[0].startswith("$")
        if wild and "#" in node:
            _collect(node["#"], found)
        if depth == len(levels):
            _collect(node, found)
            return
        child = node.get(levels[depth])
        if child is not None:
            self._walk(child, levels, depth + 1, found)
        if wild and "+" in node:
            self._walk(node["+"], levels, depth + 1, found)


def _collect(node: dict[str, Any], found: dict[int, int]) -> None:
    for subscriber, qos in node.get(_SUBSCRIBERS, {}).items():
        found[subscriber] = max(qos, found.get(subscriber, 0))


def filter_matches(topic_filter: str, topic: str) -> bool:
    """Whether one filter takes one topic, without an index."""
    index = FilterIndex()
    index.add(topic_filter, 0, 0)
    return bool(index.match(topic))
