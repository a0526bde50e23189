from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.stream import Lanes
from loadgen.errors import ConfigError
from loadgen.plan.needs import needs_of, summary
from loadgen.plan.streams import define_streams
from tests.plan.conftest import BOARDS, SENSORS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plan.conftest import MakePlan, MakeScenario

LANES: dict[str, Any] = {"topic": "site/{lane}/temp", "qos": 1, "rate": "2/s"}


def groups(publish: dict[str, Any], clients: int = 6) -> dict[str, Any]:
    return {
        "sensors": SENSORS | {"publish": publish, "clients": clients, "client_id": "s{index}"},
        "boards": BOARDS,
    }


def test_hashed_lanes_give_each_client_one_topic_whatever_the_seed(plan: MakePlan) -> None:
    publish = LANES | {"lanes": {"count": 8, "choose": "hashed"}}
    made = plan(groups=groups(publish, 400))
    topics = [client.streams[0].topic for client in made.clients[:400]]
    assert all(len(client.streams) == 1 for client in made.clients[:400])
    assert topics == [c.streams[0].topic for c in plan(groups=groups(publish, 400), seed=9).clients[:400]]
    spread = Counter(topics)
    assert len(spread) == 8
    assert 25 <= min(spread.values()) <= max(spread.values()) <= 80, "50 each, but for chance"


def test_random_lanes_are_publishers_of_their_own_and_cost_no_rate(plan: MakePlan) -> None:
    publish = LANES | {"lanes": {"count": 4, "choose": "random"}, "payload": "100B"}
    made = plan(groups=groups(publish))
    assert made.publishers == 24
    assert [each.publisher for each in made.clients[1].streams] == [4, 5, 6, 7]
    assert {each.topic for each in made.clients[1].streams} == {f"site/{lane}/temp" for lane in range(4)}
    needs = needs_of(made, 1)
    assert needs.publish_rate == pytest.approx(12)
    assert needs.delivery_rate == pytest.approx(24)
    assert needs.publish_bytes == pytest.approx(1200)
    assert summary(made, needs)["groups"]["sensors"]["payloads"] == [100]


def test_chance_is_even_and_differs_from_client_to_client(plan: MakePlan) -> None:
    (definition,) = plan(groups=groups(LANES | {"lanes": {"count": 4, "choose": "random"}})).definitions
    streams: list[Any] = list(range(4))
    drawn = []
    for index in range(2):
        lanes = Lanes(streams, definition.choice_seed(index))
        drawn.append([lanes.choose() for _ in range(4000)])
    assert drawn[0] != drawn[1]
    assert all(900 < count < 1100 for count in Counter(drawn[0]).values())


def test_options_that_are_the_same_for_all_are_one_object_in_each_stream(plan: MakePlan) -> None:
    assert plan().clients[0].streams[0].settings is None, "nothing to carry, nothing to pay"
    publish = SENSORS["publish"] | {"message_expiry": "5s", "user_properties": {"who": "{client_id}"}}
    made = plan(groups=groups(publish))
    settings = made.clients[2].streams[0].settings
    assert settings is not None
    assert (settings.message_expiry, settings.user_properties) == (5, (("who", "s2"),))
    assert made.expiring(5.0) == set()
    assert made.expiring(5.1) == set(range(6))


def test_payloads_of_clients_own_count_with_their_size(plan: MakePlan) -> None:
    publish = SENSORS["publish"] | {"payload": {"template": "{index}{index}"}}
    made = plan(groups=groups(publish, 12))
    assert made.definitions[0].payload == 32 + 4, "the largest"
    assert needs_of(made, 1).publish_bytes == pytest.approx(2 * (10 * 34 + 2 * 36))


def test_a_payload_file_that_went_away_is_named(scenario: MakeScenario, tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"abc")
    made = scenario(groups=groups(SENSORS["publish"] | {"payload": {"file": str(path)}}))
    assert define_streams(made)[0].payload == 35
    path.unlink()
    with pytest.raises(ConfigError, match=r"groups\.sensors\.publish\[0\]\.payload\.file.*cannot be read"):
        define_streams(made)
