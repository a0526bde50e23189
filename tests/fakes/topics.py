"""Topic filters as MQTT matches them [§4.7]."""

from __future__ import annotations


def matches(pattern: str, topic: str) -> bool:
    """Tell whether a topic filter takes a topic; `$` topics hide from leading wildcards [MQTT-4.7.2-1]."""
    if topic.startswith("$") and pattern[:1] in {"+", "#"}:
        return False
    levels, names = pattern.split("/"), topic.split("/")
    for place, level in enumerate(levels):
        if level == "#":
            return True
        if place >= len(names) or level not in {"+", names[place]}:
            return False
    return len(levels) == len(names)
