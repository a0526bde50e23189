"""The filter index against a matcher that compares every filter with every topic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.topics import FilterIndex

LEVEL = st.sampled_from(["", "a", "b", "$x", "$SYS"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(st.one_of(LEVEL, st.just("+")), max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)


def matches(topic_filter: str, topic: str) -> bool:
    """[MQTT-4.7.1] and [MQTT-4.7.2-1], by the letter."""
    filters, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and filters[0] in {"+", "#"}:
        return False
    for place, level in enumerate(filters):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(filters) == len(levels)


@given(
    st.lists(st.tuples(FILTER, st.integers(0, 4), st.integers(0, 1)), max_size=12),
    st.lists(TOPIC, min_size=1, max_size=6),
)
def test_the_index_finds_what_brute_force_finds(
    subscriptions: list[tuple[str, int, int]], topics: list[str]
) -> None:
    index = FilterIndex()
    for topic_filter, subscriber, qos in subscriptions:
        index.add(topic_filter, subscriber, qos)
    for topic in topics:
        wanted: dict[int, int] = {}
        for topic_filter, subscriber, qos in subscriptions:
            if matches(topic_filter, topic):
                wanted[subscriber] = max(qos, wanted.get(subscriber, 0))
        assert index.match(topic) == tuple(sorted(wanted.items())), topic


def test_a_filter_for_everything_below_takes_the_level_itself() -> None:
    index = FilterIndex()
    index.add("sport/#", 1, 0)
    assert index.match("sport") == ((1, 0),)
    assert index.match("sports") == ()


def test_equal_answers_are_one_object() -> None:
    index = FilterIndex()
    index.add("site/+", 3, 1)
    assert index.match("site/1") is index.match("site/2")
