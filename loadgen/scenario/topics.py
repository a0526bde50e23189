"""Checks of topics and topic filters, against MQTT and against what RabbitMQ makes of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from loadgen.scenario.clients import MAX_STRING, client_fields
from loadgen.scenario.explain import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadgen.scenario.document import Place
    from loadgen.scenario.groups import Group
    from loadgen.scenario.parts import Parts
    from loadgen.scenario.template import Template

_LENGTH = f"a topic has 1 to {MAX_STRING} bytes and no NUL"


def check_topics(parts: Parts) -> Iterator[Finding]:
    """Check topics and filters as the first client of each group would use them."""
    for name, group in parts.groups.items():
        if group is None:
            continue
        fields = client_fields(name, group, 0, parts.identities)
        if group.client_id.fields <= fields.keys():
            fields["client_id"] = group.client_id.render(fields)
        for index, publish in enumerate(group.publish):
            place = ("groups", name, "publish", index, "topic")
            yield from _check_topic(place, sample(publish.topic, {**fields, "lane": 0}))
        for index, subscribe in enumerate(group.subscribe):
            place = ("groups", name, "subscribe", index, "filter")
            yield from _check_filter(place, sample(subscribe.filter, fields))
        if group.will is not None:
            yield from _check_topic(("groups", name, "will", "topic"), sample(group.will.topic, fields))
        yield from _check_overlap(name, group, fields)


def sample(template: Template, fields: Mapping[str, object]) -> str:
    """Render a template, with `x` for fields that are not known yet."""
    unknown = dict.fromkeys(template.fields - fields.keys(), "x")
    return template.render({**fields, **unknown})


def _check_topic(place: Place, topic: str) -> Iterator[Finding]:
    if not _fits(topic):
        yield Finding(place, _LENGTH, "write another topic")
    elif "+" in topic or "#" in topic:
        yield Finding(place, f'"{topic}" has a wildcard, and one cannot publish to it', "remove + and #")
    elif topic.startswith("$share/"):
        yield Finding(place, f'"{topic}" looks like a shared subscription', "remove $share/ and the name")
    yield from _check_dots(place, topic)


def _check_filter(place: Place, topic_filter: str) -> Iterator[Finding]:
    if not _fits(topic_filter):
        yield Finding(place, _LENGTH, "write another filter")
        return
    if topic_filter.startswith("$share/"):
        yield Finding(
            place,
            "RabbitMQ has no shared subscriptions: it would accept this filter and never deliver",
            "subscribe to the part after the share's name",
        )
        return
    levels = topic_filter.split("/")
    if any("+" in level and level != "+" for level in levels):
        yield Finding(place, f'"{topic_filter}" mixes + with text', "+ stands for one whole level: a/+/b")
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        yield Finding(place, f'"{topic_filter}" has # in the middle', "# stands alone at the end: a/#")
    yield from _check_dots(place, topic_filter)


def _fits(text: str) -> bool:
    return 0 < len(text.encode("utf-8", "surrogatepass")) <= MAX_STRING and "\0" not in text


def _check_dots(place: Place, topic: str) -> Iterator[Finding]:
    if "." in topic:
        as_read = topic.replace(".", "/")
        yield Finding(
            place,
            f'RabbitMQ treats . as /: "{topic}" is "{as_read}" to it',
            "use topics without dots",
            warning=True,
        )


def _check_overlap(name: str, group: Group, fields: Mapping[str, object]) -> Iterator[Finding]:
    filters = [(sample(subscribe.filter, fields), subscribe.qos) for subscribe in group.subscribe]
    for (_, (first, first_qos)), (index, (second, second_qos)) in itertools.combinations(
        enumerate(filters), 2
    ):
        place = ("groups", name, "subscribe", index, "filter")
        if first == second:
            yield Finding(place, f'the filter "{second}" is here twice', "remove one of them")
        elif first_qos != second_qos and overlaps(first, second):
            yield Finding(
                place,
                f'"{first}" and "{second}" overlap at different QoS: RabbitMQ delivers such messages twice',
                "use the same QoS, or filters apart",
                warning=True,
            )


def overlaps(first: str, second: str) -> bool:
    """Tell whether some topic matches both filters [MQTT-4.7.1]."""
    for one, other in itertools.zip_longest(first.split("/"), second.split("/")):
        if "#" in {one, other}:
            return True
        if one is None or other is None:
            return False
        if one != other and "+" not in {one, other}:
            return False
    return True
