from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import Will

from loadgen.errors import ConfigError
from loadgen.mqtt.config import SessionConfig
from loadgen.plan.payload import will_payload
from loadgen.plan.wills import WillPlan, connect_size
from tests.plan.conftest import BOARDS, SENSORS

if TYPE_CHECKING:
    from tests.plan.conftest import MakePlan

TOPIC = st.text(st.sampled_from("ab/é✓"), min_size=1, max_size=60)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)


def groups(will: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    return {"sensors": SENSORS | {"will": will, **more}, "boards": BOARDS}


def test_every_client_has_a_will_of_its_own(plan: MakePlan) -> None:
    will = {"topic": "gone/{index}", "qos": 1, "payload": {"template": "{cn}"}, "delay": "5s", "retain": True}
    made = plan(groups=groups(will, session={"expiry": "60s"}))
    assert made.clients[3].will == WillPlan("gone/3", 1, retain=True, delay=5, content=b"dev003")
    assert made.clients[6].will is None
    sized = plan(groups=groups({"topic": "gone", "payload": "40B"})).clients[0].will
    assert sized is not None
    assert len(sized.content) == 8


@given(
    client_id=TEXT,
    properties=st.lists(st.tuples(TEXT, TEXT), max_size=5),
    topic=st.text(st.sampled_from("ab/é✓"), min_size=1, max_size=60),
    size=st.integers(0, 999),
)
def test_the_size_of_a_connect_is_known_before_it_is_made(
    client_id: str, properties: list[tuple[str, str]], topic: str, size: int
) -> None:
    plan = WillPlan(topic, 1, retain=True, delay=7, content=b"x" * size)
    will = Will(topic, payload=will_payload(1, 2, plan.content), retain=True, will_delay_interval=7)
    for wanted, asked in ((None, None), (plan, will)):
        config = SessionConfig(client_id, session_expiry=5, user_properties=tuple(properties), will=asked)
        assert 0 <= connect_size(client_id, properties, wanted) - len(config.connect_packet(client_id)) <= 40


@pytest.mark.parametrize(
    "more",
    [
        {"will": {"topic": "gone", "payload": "65500B"}},
        {"user_properties": {"a": "x" * 40_000, "b": "y" * 26_000}},
    ],
    ids=["will", "properties"],
)
def test_a_connect_that_rabbitmq_would_not_take_is_refused(plan: MakePlan, more: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"groups\.sensors\[0\]: CONNECT has 65,[0-9]+ bytes|CONNECT has 66"
    ):
        plan(groups={"sensors": SENSORS | more, "boards": BOARDS})
