"""What MQTT allows as client id, topic and filter; checked once templates are filled in from certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.scenario.clients import MAX_STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def client_id_fault(client_id: str) -> str:
    """What is wrong with a client id, empty when nothing is."""
    return _string_fault(client_id)


def topic_fault(topic: str) -> str:
    """What is wrong with a topic to publish to, empty when nothing is [MQTT-4.7.3]."""
    if "+" in topic or "#" in topic:
        return "has a wildcard, and one cannot publish to it"
    return _string_fault(topic)


def filter_fault(topic_filter: str) -> str:
    """What is wrong with a topic filter, empty when nothing is [MQTT-4.7.1]."""
    if "+" in topic_filter or "#" in topic_filter:
        levels = topic_filter.split("/")
        if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
            return "mixes a wildcard with text in one level"
        if "#" in levels[:-1]:
            return "has # before its end"
    return _string_fault(topic_filter)


def _string_fault(text: str) -> str:
    # Up to a quarter of the limit no encoding can be too long, and that is what almost every text is.
    if not text or "\0" in text or (len(text) > MAX_STRING // 4 and len(text.encode()) > MAX_STRING):
        return f"must have 1 to {MAX_STRING} bytes and no NUL"
    return ""


def wrong_texts(
    client_id: str, topics: Iterable[str], filters: Iterable[str], properties: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Everything that MQTT forbids in one client's texts, each as a sentence."""
    if fault := client_id_fault(client_id):
        yield f"client id {_shown(client_id)} {fault}"
    for topic in topics:
        if fault := topic_fault(topic):
            yield f"topic {_shown(topic)} {fault}"
    for topic_filter in filters:
        if fault := filter_fault(topic_filter):
            yield f"filter {_shown(topic_filter)} {fault}"
    for name, value in properties:
        if len(value.encode()) > MAX_STRING or "\0" in value:
            yield f"user property {name!r} is longer than {MAX_STRING} bytes or has a NUL"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
