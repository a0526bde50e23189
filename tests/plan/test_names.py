from __future__ import annotations

import pytest

from loadgen.plan.names import client_id_fault, filter_fault, topic_fault, wrong_texts


@pytest.mark.parametrize("topic", ["a", "/", "a//b", "$SYS/x", "é" * 30_000])
def test_topics_that_mqtt_allows(topic: str) -> None:
    assert not topic_fault(topic)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a#b", "a\0b", "a" * 65_536, "é" * 33_000])
def test_topics_that_it_does_not(topic: str) -> None:
    assert topic_fault(topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/b", "a/#", "+/+/#", "/"])
def test_filters_that_mqtt_allows(topic_filter: str) -> None:
    assert not filter_fault(topic_filter)


@pytest.mark.parametrize("topic_filter", ["", "a+/b", "a/#/b", "a/b#", "##", "a\0"])
def test_filters_that_it_does_not(topic_filter: str) -> None:
    assert filter_fault(topic_filter)


def test_every_fault_of_a_client_is_told() -> None:
    assert not list(wrong_texts("id", ["a"], ["a/#"], [("k", "v")]))
    found = list(wrong_texts("", ["a/#"], ["a#"], [("k", "v" * 70_000)]))
    assert [each.split()[0] for each in found] == ["client", "topic", "filter", "user"]
    assert client_id_fault("x" * 65_536)
