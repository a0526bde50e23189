from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.broker.embedded_topics import Topics, valid_filter


def reference(topic: str, text: str) -> bool:
    """MQTT 5 §4.7, level by level."""
    levels, wanted = topic.split("/"), text.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in {"+", levels[position]}:
            return False
    return len(levels) == len(wanted)


LEVELS = st.sampled_from(["a", "b", "", "$SYS"])
TOPIC = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
FILTER = st.tuples(st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=3), st.booleans()).map(
    lambda parts: "/".join([*parts[0], *(["#"] if parts[1] else [])])
)


@given(
    st.lists(st.tuples(FILTER, st.integers(0, 3), st.integers(0, 1))),
    st.lists(st.tuples(FILTER, st.integers(0, 3))),
    st.lists(TOPIC, min_size=1),
)
def test_matches_as_the_specification_says(
    added: list[tuple[str, int, int]], removed: list[tuple[str, int]], topics: list[str]
) -> None:
    table: Topics[int] = Topics()
    model: dict[tuple[str, int], int] = {}
    for text, subscriber, qos in added:
        table.subscribe(text, subscriber, qos)
        model[text, subscriber] = qos
    for topic in topics:
        table.match(topic)  # fill the cache, so that a stale answer would show below
    for text, subscriber in removed:
        table.unsubscribe(text, subscriber)
        model.pop((text, subscriber), None)
    for topic in topics:
        expected: dict[int, int] = {}
        for (text, subscriber), qos in model.items():
            if reference(topic, text):
                expected[subscriber] = max(qos, expected.get(subscriber, 0))
        assert dict(table.match(topic)) == expected


def test_removed_wildcard_filters_leave_nothing_behind() -> None:
    table: Topics[str] = Topics()
    for text in ("a/+/b", "a/+/#", "x"):
        table.subscribe(text, "me", 1)
        table.unsubscribe(text, "me")
    assert not table._root.children
    assert not table._exact


@pytest.mark.parametrize("text", ["#", "+", "a/#", "+/b/+", "/", "a//b", "$share", "a b"])
def test_valid_filters(text: str) -> None:
    assert valid_filter(text)


@pytest.mark.parametrize("text", ["", "#/a", "a#", "a/#/b", "a+", "+a/b", "a\0"])
def test_invalid_filters(text: str) -> None:
    assert not valid_filter(text)
