from __future__ import annotations

import re

import pytest

from loadgen.broker.provision import Permissions, TopicPermissions
from loadgen.broker.rights import MOST_ALTERNATIVES, Use, pattern


def allows(expression: str, name: str) -> bool:
    """As RabbitMQ: an empty expression allows nothing."""
    return bool(expression) and re.search(expression, name) is not None


def test_a_publisher_may_write_to_the_exchange_and_nothing_else() -> None:
    assert Use(publishes=True).permissions() == Permissions("", r"^amq\.topic$", "")


def test_a_subscriber_may_use_its_own_queues_only() -> None:
    may = Use(subscribers={"a.b"}).permissions()
    for expression in (may.configure, may.write, may.read):
        assert allows(expression, "mqtt-subscription-a.bqos1")
        assert not allows(expression, "mqtt-subscription-axbqos1")
        assert not allows(expression, "mqtt-subscription-a.bqos1x")
    assert allows(may.read, "amq.topic")
    assert not allows(may.write, "amq.topic")


def test_a_delayed_will_needs_its_queue_and_the_default_exchange() -> None:
    may = Use(publishes=True, delayed_wills={"w"}).permissions()
    assert may == Permissions("^mqtt-will-w$", r"^(amq\.topic|amq\.default)$", "^mqtt-will-w$")


def test_a_client_that_does_nothing_may_nothing() -> None:
    assert Use().permissions() == Permissions("", "", "")
    assert Use().topic_permissions() == TopicPermissions("", "")


def test_many_client_ids_become_what_they_have_in_common() -> None:
    ids = {f"dev-{index}" for index in range(MOST_ALTERNATIVES + 1)}
    may = Use(subscribers=ids).permissions()
    assert may.configure == r"^mqtt-subscription-dev\-.*qos[01]$"
    assert all(allows(may.configure, f"mqtt-subscription-{name}qos0") for name in ids)


def test_topics_name_the_client_and_the_user_by_variables() -> None:
    assert pattern("f/cid/me/+/x.y/#", "cid", "me") == (
        "f",
        "{client_id}",
        "{username}",
        r"\*",
        r"x\.y",
        r"\#",
    )
    use = Use(written={pattern("f/a/t", "a", "u"), pattern("f/b/t", "b", "u")})
    assert use.topic_permissions() == TopicPermissions(r"^f\.{client_id}\.t$", "")


@pytest.mark.parametrize("topics", [["a", *(f"a/{n}" for n in range(30))], [str(n) for n in range(30)]])
def test_many_topics_become_their_common_levels(topics: list[str]) -> None:
    limits = Use(read={pattern(topic, "c", "u") for topic in topics}).topic_permissions()
    assert all(allows(limits.read, topic.replace("/", ".")) for topic in topics)
    assert allows(limits.read, "ab.1") == (topics[0] != "a")
