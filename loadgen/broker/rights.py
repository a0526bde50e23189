"""The narrowest permissions that a user's clients need, from what the clients do.

What RabbitMQ asks for was read in its source and measured; docs/rabbitmq.md, "Permissions", has the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.broker.provision import Permissions, TopicPermissions

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_ALTERNATIVES = 20
"""Alternatives in one regular expression; beyond that it becomes what they have in common, and `.*`."""

_EXCHANGE = r"amq\.topic"
_DEFAULT_EXCHANGE = r"amq\.default"


@dataclass(slots=True)
class Use:
    """What the clients of one user do, added up."""

    publishes: bool = False
    """Some publish, or have a will."""
    subscribers: set[str] = field(default_factory=set)
    """Client ids of those that subscribe."""
    delayed_wills: set[str] = field(default_factory=set)
    """Client ids of those that have a will with a delay."""
    written: set[tuple[str, ...]] = field(default_factory=set)
    """Topics published to, as `pattern` gives them."""
    read: set[tuple[str, ...]] = field(default_factory=set)
    """Filters subscribed to, as `pattern` gives them."""

    def permissions(self) -> Permissions:
        """The permissions on exchanges and queues."""
        queues = _names("mqtt-subscription-", self.subscribers, "qos[01]")
        wills = _names("mqtt-will-", self.delayed_wills, "")
        return Permissions(
            configure=_expression([*queues, *wills]),
            write=_expression(
                [
                    *([_EXCHANGE] if self.publishes else []),
                    *([_DEFAULT_EXCHANGE] if wills else []),
                    *queues,
                ]
            ),
            read=_expression([*([_EXCHANGE] if queues else []), *queues, *wills]),
        )

    def topic_permissions(self) -> TopicPermissions:
        """The permissions on topics."""
        return TopicPermissions(write=_topics(self.written), read=_topics(self.read))


def pattern(topic: str, client_id: str, user: str) -> tuple[str, ...]:
    """Give a topic or filter as the levels of a routing key, each a regular expression.

    A level that is the client's id or the user's name becomes the variable that RabbitMQ expands.
    """
    return tuple(_level(level, client_id, user) for level in topic.split("/"))


def _level(level: str, client_id: str, user: str) -> str:
    if level == "+":
        return r"\*"
    if level == user:
        return "{username}"
    return "{client_id}" if level == client_id else re.escape(level)


def _names(before: str, names: set[str], after: str) -> list[str]:
    if len(names) > MOST_ALTERNATIVES:
        same = min(names)[: _alike(names)]
        return [f"{before}{re.escape(same)}.*{after}"]
    return [f"{before}{re.escape(name)}{after}" for name in sorted(names)]


def _topics(patterns: set[tuple[str, ...]]) -> str:
    if len(patterns) > MOST_ALTERNATIVES:
        same = "\\.".join(min(patterns)[: _alike(patterns)])
        return f"^{same}(\\..*)?$" if same else "^.*$"
    return _expression(["\\.".join(levels) for levels in sorted(patterns)])


def _alike(several: Collection[str] | Collection[tuple[str, ...]]) -> int:
    """How long the beginning is that all have in common; the first and the last in order tell."""
    pairs = list(zip(min(several), max(several), strict=False))
    return next((place for place, (one, other) in enumerate(pairs) if one != other), len(pairs))


def _expression(alternatives: list[str]) -> str:
    if len(alternatives) == 1:
        return f"^{alternatives[0]}$"
    return f"^({'|'.join(alternatives)})$" if alternatives else ""
