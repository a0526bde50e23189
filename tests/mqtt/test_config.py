from __future__ import annotations

from typing import Any

import pytest
from mqtt5 import ConnectPacket, Will, read

from loadgen.errors import LocalProtocolError
from loadgen.mqtt.config import SessionConfig


def test_every_field_is_on_the_wire() -> None:
    config = SessionConfig(
        "c",
        clean_start=False,
        session_expiry=600,
        keep_alive=30,
        receive_maximum=20,
        topic_alias_maximum=5,
        maximum_packet_size=1000,
        user_properties=(("b", "2"), ("a", "1"), ("a", "0")),
        username="u",
        password=b"p",
        will=Will("gone", payload=b"w"),
    )
    packet, _ = read(memoryview(config.connect_packet("assigned")))
    assert isinstance(packet, ConnectPacket)
    assert packet.client_id == "assigned"
    assert packet.clean_start is False
    assert packet.session_expiry_interval == 600
    assert packet.keep_alive == 30
    assert packet.receive_max == 20
    assert packet.topic_alias_max == 5
    assert packet.max_packet_size == 1000
    assert packet.user_properties == [("b", "2"), ("a", "1"), ("a", "0")]
    assert (packet.username, packet.password) == ("u", b"p")
    assert packet.will is not None
    assert packet.will.topic == "gone"


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(SessionConfig("c", username="u", password=b"hush"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_alive": 65_536},
        {"keep_alive": -1},
        {"receive_maximum": 0},
        {"receive_maximum": 65_536},
        {"session_expiry": 2**32},
        {"topic_alias_maximum": 65_536},
        {"maximum_packet_size": 0},
    ],
)
def test_what_does_not_fit_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(wrong))):
        SessionConfig("c", **wrong)


def test_a_string_too_long_for_the_wire_is_ours() -> None:
    with pytest.raises(LocalProtocolError, match="CONNECT of 'xxx"):
        SessionConfig("x" * 70_000).connect_packet("x" * 70_000)
