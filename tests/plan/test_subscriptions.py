from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plan.conftest import MakePlan

TALK: dict[str, Any] = {"topic": "a/{index}", "qos": 1, "rate": "1/s"}


def chat(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"g": {"clients": 2, "identity": "devices", "publish": TALK, "subscribe": list(filters)}}


@pytest.mark.parametrize(
    ("filters", "own"),
    [
        ([{"filter": "a/+", "qos": 1}], 1),
        ([{"filter": "a/+", "qos": 1, "no_local": True}], None),
        # Another filter of the same client may take its own messages, at its own QoS.
        ([{"filter": "a/+", "qos": 1, "no_local": True}, {"filter": "#", "qos": 0}], 0),
        ([{"filter": "a/+", "qos": 1, "no_local": True}, {"filter": "b", "qos": 1}], None),
        ([{"filter": "b", "qos": 1, "no_local": True}, {"filter": "a/+", "qos": 1}], 1),
    ],
)
def test_what_a_client_gets_of_its_own_messages(
    plan: MakePlan, filters: list[dict[str, Any]], own: int | None
) -> None:
    made = plan(groups=chat(*filters))
    pairs = {(publisher, subscriber): qos for publisher, subscriber, qos in made.pairs()}
    assert pairs.get((0, 0)) == pairs.get((1, 1)) == own
    assert pairs[0, 1] == pairs[1, 0] == 1
    assert made.pair_count == len(pairs)
    assert [client.streams[0].fanout for client in made.clients] == [1 + (own is not None)] * 2


def test_filters_of_one_identifier_stand_together(plan: MakePlan) -> None:
    made = plan(
        groups=chat(
            {"filter": "a", "qos": 1, "subscription_identifier": 1, "retain_handling": "new"},
            {"filter": "b", "qos": 1, "subscription_identifier": 2},
            {"filter": "c", "qos": 1, "subscription_identifier": 1},
        )
    )
    filters = made.clients[0].filters
    assert [(each.filter, each.identifier) for each in filters] == [("a", 1), ("c", 1), ("b", 2)]
    assert [each.retain_handling for each in filters] == [1, 0, 0]
