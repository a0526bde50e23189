"""Which subscribers a topic reaches: MQTT's filters with `+` and `#`, answered from a cache."""

from __future__ import annotations

from typing import Generic, TypeVar

S = TypeVar("S")

_CACHE_TOPICS = 65_536


class _Node(Generic[S]):
    """One level of the filters that hold a wildcard."""

    __slots__ = ("children", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.subscribers: dict[S, int] = {}


def valid_filter(text: str) -> bool:
    """Whether `text` is a topic filter: `#` only as the last level, `+` only as a whole one [MQTT-4.7.1]."""
    if not text or "\0" in text:
        return False
    *heads, last = text.split("/")
    if "#" in last and last != "#":
        return False
    return all("#" not in level for level in heads) and all(
        "+" not in level or level == "+" for level in (*heads, last)
    )


class Topics(Generic[S]):
    """Topic filters and who holds them; every subscriber is given once per topic, at its highest QoS.

    A cache answers for topics seen before; any change of a subscription empties it, because load tests
    subscribe first and publish then.
    """

    def __init__(self) -> None:
        """Start with no subscription."""
        self._exact: dict[str, dict[S, int]] = {}
        self._root: _Node[S] = _Node()
        self._cache: dict[str, tuple[tuple[S, int], ...]] = {}

    def subscribe(self, text: str, subscriber: S, qos: int) -> None:
        """Add the filter `text` for a subscriber, or change its QoS."""
        self._cache.clear()
        if "+" not in text and "#" not in text:
            self._exact.setdefault(text, {})[subscriber] = qos
            return
        node = self._root
        for level in text.split("/"):
            node = node.children.setdefault(level, _Node())
        node.subscribers[subscriber] = qos

    def unsubscribe(self, text: str, subscriber: S) -> None:
        """Take the filter `text` from a subscriber; nothing happens when it has none."""
        self._cache.clear()
        if "+" not in text and "#" not in text:
            holders = self._exact.get(text, {})
            holders.pop(subscriber, None)
            if not holders:
                self._exact.pop(text, None)
            return
        path = [self._root]
        levels = text.split("/")
        for level in levels:
            if (child := path[-1].children.get(level)) is None:
                return
            path.append(child)
        path[-1].subscribers.pop(subscriber, None)
        for level in reversed(levels):
            node = path.pop()
            if node.subscribers or node.children:
                break
            del path[-1].children[level]

    def match(self, topic: str) -> tuple[tuple[S, int], ...]:
        """Return every subscriber that a message on `topic` reaches, each with its QoS."""
        known = self._cache.get(topic)
        if known is None:
            known = tuple(self._search(topic).items())
            if len(self._cache) >= _CACHE_TOPICS:
                self._cache.clear()
            self._cache[topic] = known
        return known

    def _search(self, topic: str) -> dict[S, int]:
        found = dict(self._exact.get(topic, {}))
        nodes = [self._root]
        levels = topic.split("/")
        for depth, level in enumerate(levels):
            # A wildcard at the first level does not match topics that begin with `$` [MQTT-4.7.2-1].
            wild = depth > 0 or not level.startswith("$")
            following: list[_Node[S]] = []
            for node in nodes:
                if wild and (rest := node.children.get("#")) is not None:
                    _keep_highest(found, rest.subscribers)
                following.extend(
                    child
                    for key in ((level, "+") if wild else (level,))
                    if (child := node.children.get(key)) is not None
                )
            nodes = following
        for node in nodes:
            _keep_highest(found, node.subscribers)
            if (rest := node.children.get("#")) is not None:  # `a/#` matches `a` too
                _keep_highest(found, rest.subscribers)
        return found


def _keep_highest(found: dict[S, int], more: dict[S, int]) -> None:
    for subscriber, qos in more.items():
        found[subscriber] = max(qos, found.get(subscriber, 0))
