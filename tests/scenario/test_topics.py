from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.topics import overlaps

LEVEL = st.sampled_from(["a", "b", ""])


@pytest.mark.parametrize(
    ("topic", "what"),
    [
        ("a/+/b", "wildcard"),
        ("a/#", "wildcard"),
        ("", "1 to 65535 bytes"),
        ("a\0b", "no NUL"),
        ("x" * 65536, "1 to 65535 bytes"),
        ("$share/g/a", "shared subscription"),
    ],
)
def test_refused_topics(base: dict[str, Any], complain: Any, topic: str, what: str) -> None:  # noqa: ANN401
    base["groups"]["sensors"]["publish"]["topic"] = topic
    (line,) = complain(base)
    assert "groups.sensors.publish.topic: " in line
    assert what in line


@pytest.mark.parametrize(
    ("topic_filter", "what"),
    [
        ("$share/g/a", "no shared subscriptions"),
        ("a/b+/c", "mixes + with text"),
        ("a/#/c", "# in the middle"),
        ("a/b#", "# in the middle"),
        ("{index}#", "# in the middle"),
        ("", "1 to 65535 bytes"),
    ],
)
def test_refused_filters(base: dict[str, Any], complain: Any, topic_filter: str, what: str) -> None:  # noqa: ANN401
    base["groups"]["dashboards"]["subscribe"]["filter"] = topic_filter
    (line,) = complain(base)
    assert "groups.dashboards.subscribe.filter: " in line
    assert what in line


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/#", "/", "a//b", "+/{cn}/#", "$SYS/#"])
def test_allowed_filters(base: dict[str, Any], complain: Any, topic_filter: str) -> None:  # noqa: ANN401
    base["groups"]["dashboards"]["subscribe"]["filter"] = topic_filter
    assert complain(base) == []


def test_dots_are_warned_about_even_when_they_come_from_a_field(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    base["identities"]["devices"]["issue"]["san"] = {"dns": ["d{index}.example"]}
    base["groups"]["sensors"]["publish"]["topic"] = "a/{san.dns}"
    (line,) = complain(base)
    assert line.startswith("warning: ")
    assert '"a/d0.example" is "a/d0/example"' in line


def test_overlapping_filters(base: dict[str, Any], complain: Any) -> None:  # noqa: ANN401
    dashboards = base["groups"]["dashboards"]
    dashboards["subscribe"] = [{"filter": "a/+", "qos": 0}, {"filter": "a/#", "qos": 1}]
    (line,) = complain(base)
    assert "overlap at different QoS" in line
    dashboards["subscribe"] = [{"filter": "a/+", "qos": 1}, {"filter": "a/+", "qos": 1}]
    (line,) = complain(base)
    assert "is here twice" in line
    dashboards["subscribe"] = [{"filter": "a/+", "qos": 0}, {"filter": "b/#", "qos": 1}]
    assert complain(base) == []


def matches(topic: list[str], levels: list[str]) -> bool:
    if levels == ["#"]:
        return True
    if not topic or not levels:
        return topic == levels
    return levels[0] in {"+", topic[0]} and matches(topic[1:], levels[1:])


@given(
    st.lists(LEVEL, min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4),
    st.tuples(st.booleans(), st.booleans()),
)
def test_a_topic_of_both_means_overlap(
    topic: list[str],
    first: list[str],
    second: list[str],
    hashes: tuple[bool, bool],
) -> None:
    one, other = first + ["#"] * hashes[0], second + ["#"] * hashes[1]
    if matches(topic, one) and matches(topic, other):
        assert overlaps("/".join(one), "/".join(other))
    assert overlaps("/".join(one), "/".join(other)) == overlaps("/".join(other), "/".join(one))


@pytest.mark.parametrize(("one", "other"), [("a/b", "a"), ("a/+", "b/+"), ("+/a", "+/b"), ("a/b/#", "a/c")])
def test_apart(one: str, other: str) -> None:
    assert not overlaps(one, other)
