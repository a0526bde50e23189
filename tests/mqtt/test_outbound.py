"""What goes out: publishing, subscribing, and what CONNACK's limits allow."""

from __future__ import annotations

import pytest
from mqtt5 import ConnAckPacket, DisconnectPacket, PublishPacket, QoS, SubscribePacket, UnsubscribePacket

from loadgen.errors import LocalProtocolError
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.options import PublishOptions, Subscription
from loadgen.mqtt.session import Session
from loadgen.mqtt.state import State
from tests.fakes.scripted_broker import connected, pump

CONFIG = SessionConfig("c")


def test_publish_carries_everything() -> None:
    session, broker = connected(CONFIG)
    assert session.publish(
        "a/b",
        b"x",
        1,
        options=PublishOptions(
            retain=True, message_expiry=7, content_type="text", user_properties=[("k", "v")]
        ),
    )
    broker.feed(session.take())
    (packet,) = broker.of(PublishPacket)
    assert (packet.topic, packet.payload, packet.qos, packet.retain) == ("a/b", b"x", QoS.AT_LEAST_ONCE, True)
    assert (packet.message_expiry_interval, packet.content_type) == (7, "text")
    assert packet.user_properties == [("k", "v")]
    assert packet.duplicate is False
    assert session.take() == b""


def test_the_quota_blocks_qos_1_and_not_qos_0() -> None:
    session, broker = connected(CONFIG, ConnAckPacket(receive_max=2))
    assert [session.publish("t", b"", 1, n) for n in range(3)] == [True, True, False]
    assert session.publish("t", b"", 0)
    assert session.send_quota == 0
    assert session.unacknowledged == 2
    pump(session, broker)
    assert session.send_quota == 2
    assert session.publish("t", b"", 1)


def test_packet_ids_wrap_and_step_over_those_in_use() -> None:
    session, broker = connected(CONFIG)
    session.subscribe([("t", 0)])  # id 1 stays unanswered
    for _ in range(65_534):
        assert session.publish("t", b"", 1)
    assert sorted(session.inflight) == list(range(2, 65_536))
    assert session.send_quota == 1
    assert session.publish("t", b"", 1) is False
    with pytest.raises(LocalProtocolError, match="in use"):
        session.subscribe([("u", 0)])
    assert session.unacknowledged == 65_534
    pump(session, broker)
    session.publish("t", b"", 1)
    assert list(session.inflight) == [1]


def test_a_publish_that_is_never_acknowledged_keeps_its_id() -> None:
    session, _ = connected(CONFIG)
    session.publish("t", b"", 1, "slow")
    session.take()
    session._last_id = 65_534
    ids = []
    for _ in range(3):
        session.publish("t", b"", 1)
        ids.append(session._last_id)
    assert ids == [65_535, 2, 3]
    assert session.inflight[1][1] == "slow"


@pytest.mark.parametrize("state", [state for state in State if state is not State.CONNECTED])
def test_only_a_connected_session_sends(state: State) -> None:
    session = Session(CONFIG)
    session.state = state
    for send in (
        lambda: session.publish("t", b"", 0),
        lambda: session.publish("t", b"", 1),
        lambda: session.subscribe([("t", 0)]),
        lambda: session.unsubscribe(["t"]),
        session.ping,
    ):
        with pytest.raises(LocalProtocolError, match=state.value):
            send()
    assert session.take() == b""


def test_limits_of_the_connack_are_kept() -> None:
    session, _ = connected(
        CONFIG, ConnAckPacket(max_packet_size=50, max_qos=QoS.AT_MOST_ONCE, retain_available=False)
    )
    with pytest.raises(LocalProtocolError, match="QoS 1"):
        session.publish("t", b"", 1)
    with pytest.raises(LocalProtocolError, match="retained"):
        session.publish("t", b"", 0, options=PublishOptions(retain=True))
    with pytest.raises(LocalProtocolError, match="the broker takes 50"):
        session.publish("t", b"x" * 50, 0)
    with pytest.raises(LocalProtocolError, match="the broker takes 50"):
        session.subscribe([("t" * 50, 0)])
    assert session.take() == b""
    assert session.publish("t", b"x" * 44, 0), "50 bytes with the header"
    assert len(session.take()) == 50


def test_a_publish_that_fails_uses_up_nothing() -> None:
    session, _ = connected(CONFIG, ConnAckPacket(max_packet_size=50))
    for topic, payload, qos in (("t", b"x" * 99, 1), ("t" * 70_000, b"", 1), ("t", b"", 2)):
        with pytest.raises(LocalProtocolError):
            session.publish(topic, payload, qos)
    assert (session.send_quota, session.unacknowledged) == (65_535, 0)


def test_subscribe_and_unsubscribe() -> None:
    session, broker = connected(CONFIG)
    assert session.subscribe([("a/#", 1), ("b", 0)]) == 1
    assert session.unsubscribe(["b"]) == 2
    broker.feed(session.take())
    (subscribe,) = broker.of(SubscribePacket)
    (unsubscribe,) = broker.of(UnsubscribePacket)
    assert [(one.pattern, one.max_qos) for one in subscribe.topic_filters] == [("a/#", 1), ("b", 0)]
    assert unsubscribe.patterns == ["b"]


@pytest.mark.parametrize("filters", [[], [("t", 2)], [("t", 0), ("u", 3)], [("t" * 70_000, 0)]])
def test_a_wrong_subscription_is_ours(filters: list[tuple[str, int]]) -> None:
    session, _ = connected(CONFIG)
    with pytest.raises(LocalProtocolError):
        session.subscribe(filters)
    with pytest.raises(LocalProtocolError):
        session.unsubscribe([])
    assert session.take() == b""


def test_disconnect_with_reason_and_expiry() -> None:
    session, broker = connected(SessionConfig("c", session_expiry=60))
    session.disconnect(4, session_expiry=5)
    broker.feed(session.take())
    (packet,) = broker.of(DisconnectPacket)
    assert (packet.reason_code, packet.session_expiry_interval) == (4, 5)
    assert session.state is State.DISCONNECTING


def test_a_wrong_disconnect_is_ours() -> None:
    session, _ = connected(CONFIG)
    with pytest.raises(LocalProtocolError, match="expiry 0"):
        session.disconnect(session_expiry=5)
    with pytest.raises(LocalProtocolError, match="reason code"):
        session.disconnect(3)
    session.disconnect()
    with pytest.raises(LocalProtocolError, match="disconnecting"):
        session.disconnect()


def test_connect_twice_is_ours() -> None:
    session, _ = connected(CONFIG)
    with pytest.raises(LocalProtocolError):
        session.connect()


def test_nothing_queued_survives_the_connection() -> None:
    session, _ = connected(CONFIG)
    session.publish("t", b"", 0)
    session.ping()
    session.connection_lost()
    assert session.take() == b""
    assert session.pings_outstanding == 0
    session.connection_lost()
    assert session.state is State.IDLE


def test_a_subscription_carries_its_options_and_an_identifier() -> None:
    session, broker = connected(CONFIG)
    session.subscribe([Subscription("a", 1, no_local=True, retain_as_published=True, retain_handling=2)], 300)
    session.subscribe([("b", 0)])
    broker.feed(session.take())
    first, second = broker.of(SubscribePacket)
    (asked,) = first.topic_filters
    assert (asked.no_local, asked.retain_as_published, asked.retain_handling) == (True, True, 2)
    assert (first.subscription_id, second.subscription_id) == (300, None)
    (asked,) = second.topic_filters
    assert (asked.no_local, asked.retain_as_published, asked.retain_handling) == (False, False, 0)
