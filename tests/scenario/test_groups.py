from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from loadgen.scenario.groups import Backoff, Group
from loadgen.scenario.template import Template


def group(**more: Any) -> Group:  # noqa: ANN401
    return Group.model_validate({"clients": 3, "identity": "devices", **more})


def test_defaults() -> None:
    made = group()
    assert made.client_id == Template("{cn}")
    assert made.keep_alive == 60_000_000_000
    assert made.session.clean_start
    assert made.session.expiry == 0
    assert made.reconnect.backoff == Backoff(200_000_000, 10_000_000_000)
    assert made.receive_maximum == 65_535


def test_one_or_a_list() -> None:
    one = {"topic": "a", "qos": 1, "rate": "1/s"}
    assert group(publish=one) == group(publish=[one])
    assert group(subscribe={"filter": "a", "qos": 0}).subscribe[0].filter == Template("a")


def test_user_properties_keep_order_and_double_names() -> None:
    mapping = group(user_properties={"b": "{cn}", "a": "x"})
    assert [(name, str(value)) for name, value in mapping.user_properties] == [("b", "{cn}"), ("a", "x")]
    assert mapping.model_dump(mode="json")["user_properties"] == {"b": "{cn}", "a": "x"}
    doubled = group(user_properties=[["site", "A"], ["site", "B"]])
    dumped = doubled.model_dump(mode="json")
    assert dumped["user_properties"] == [["site", "A"], ["site", "B"]]
    assert Group.model_validate(dumped) == doubled


def test_backoff_of_one_wait() -> None:
    assert group(reconnect={"backoff": "1s"}).reconnect.backoff == Backoff(1_000_000_000, 1_000_000_000)
    assert group(reconnect={"backoff": "0s"}).reconnect.backoff == Backoff(0, 0)
    assert [str(Backoff(0, 0)), str(Backoff(5, 5)), str(Backoff(5, 6))] == ["0s", "5ns", "5ns..6ns"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"clients": 0}, "greater than or equal to 1"),
        ({"clients": "3"}, "valid integer"),
        ({"clients": True}, "valid integer"),
        ({"keep_alive": "1500ms"}, "whole seconds"),
        ({"keep_alive": "65536s"}, "more than MQTT can carry"),
        ({"session": {"expiry": "4294967296s"}}, "more than MQTT can carry"),
        ({"session": {"clean_start": "yes"}}, "valid boolean"),
        ({"receive_maximum": 0}, "greater than or equal to 1"),
        ({"receive_maximum": 65_536}, "less than or equal to 65535"),
        ({"reconnect": {"backoff": "10s..1s"}}, "no range of waits"),
        ({"reconnect": {"backoff": "0s..1s"}}, "begins with no wait"),
        ({"reconnect": {"order": "backwards"}}, "Input should be"),
        ({"reconnect": {"connack_timeout": "0s"}}, "longer than 0"),
        ({"reconnect": {"backoff": "1..2s"}}, "needs a unit"),
        ({"user_properties": "x"}, "must be names with values"),
        ({"user_properties": [["a"]]}, "Field required"),
        ({"publish": {"topic": "a", "qos": 1}}, "exactly one of rate and total_rate"),
        ({"publish": {"topic": "a", "qos": 1, "rate": "1/s", "total_rate": "1/s"}}, "exactly one"),
        ({"publish": {"topic": "a", "qos": 2, "rate": "1/s"}}, "RabbitMQ has none"),
        ({"publish": {"topic": "a", "qos": True, "rate": "1/s"}}, "must be 0 or 1"),
        ({"publish": {"topic": "a", "qos": 1, "rate": "1/s", "payload": "31B"}}, "too small for the header"),
        ({"publish": {"topic": "a", "qos": 1, "rate": "1/s", "payload": "1GB"}}, "more than an MQTT packet"),
        ({"subscribe": {"filter": "a", "qos": 3}}, "must be 0 or 1"),
        ({"identity": "a b"}, "match pattern"),
    ],
)
def test_refused(more: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        group(**more)
