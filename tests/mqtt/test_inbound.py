"""What comes in: CONNACK and its properties, answers, aliases, resume."""

from __future__ import annotations

import pytest
from mqtt5 import (
    ConnAckPacket,
    ConnAckReasonCode,
    ConnectPacket,
    DisconnectPacket,
    DisconnectReasonCode,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
    UnsubAckPacket,
    UnsubAckReasonCode,
)

from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import (
    Acknowledged,
    BrokenRuleError,
    Connected,
    Disconnected,
    Pong,
    Refused,
    Subscribed,
    Unsubscribed,
)
from loadgen.mqtt.session import Session
from loadgen.mqtt.state import State
from tests.fakes.scripted_broker import ScriptedBroker, connected, pump

KEPT = SessionConfig("c", clean_start=False, session_expiry=600)


def reconnect(session: Session, connack: ConnAckPacket) -> Connected:
    session.connection_lost()
    session.connect()
    session.take()
    (event,) = session.receive(connack.write())
    assert isinstance(event, Connected)
    return event


def sent(session: Session) -> list[PublishPacket]:
    broker = ScriptedBroker()
    broker.feed(session.take())
    return broker.of(PublishPacket)


def test_connack_properties_are_taken_over() -> None:
    session, _ = connected(
        SessionConfig("", keep_alive=60, session_expiry=600),
        ConnAckPacket(
            assigned_client_id="given", server_keep_alive=10, session_expiry_interval=300, receive_max=7
        ),
    )
    assert (session.client_id, session.keep_alive, session.session_expiry) == ("given", 10, 300)
    assert session.send_quota == 7
    assert session.connack is not None


def test_the_assigned_id_is_used_again_and_the_keep_alive_is_not() -> None:
    session, _ = connected(
        SessionConfig("", keep_alive=60), ConnAckPacket(assigned_client_id="given", server_keep_alive=10)
    )
    session.connection_lost()
    session.connect()
    broker = ScriptedBroker()
    pump(session, broker)
    assert broker.of(ConnectPacket)[0].client_id == "given"
    assert session.keep_alive == 60


def test_a_refusal_is_data_and_what_follows_is_ignored() -> None:
    session = Session(KEPT)
    session.connect()
    session.take()
    refusal = ConnAckPacket(reason_code=ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD)
    (event,) = session.receive(refusal.write() + b"\xff\xff")
    assert isinstance(event, Refused)
    assert event.reason == 0x86
    assert session.state is State.CLOSED
    assert session.receive(b"\xff\xff") == []
    session.connection_lost()
    session.connect()
    assert session.connack is None


@pytest.mark.parametrize(
    ("config", "connack"),
    [
        (SessionConfig("c", clean_start=True), ConnAckPacket(session_present=True)),
        (SessionConfig(""), ConnAckPacket()),
    ],
)
def test_a_connack_that_breaks_a_rule(config: SessionConfig, connack: ConnAckPacket) -> None:
    session = Session(config)
    session.connect()
    session.take()
    with pytest.raises(BrokenRuleError) as caught:
        session.receive(connack.write())
    assert caught.value.reason == 0x82
    assert session.state is State.CLOSED


def test_a_second_connack_breaks_a_rule() -> None:
    session, _ = connected(KEPT)
    with pytest.raises(BrokenRuleError, match="connected"):
        session.receive(ConnAckPacket().write())


@pytest.mark.parametrize("packet", [PubAckPacket(1), DisconnectPacket(), PublishPacket("t", b"")])
def test_nothing_comes_before_connack(packet: PubAckPacket | DisconnectPacket | PublishPacket) -> None:
    session = Session(KEPT)
    session.connect()
    session.take()
    with pytest.raises(BrokenRuleError, match="connecting"):
        session.receive(packet.write())
    assert session.take() == b"", "no DISCONNECT before CONNACK"


def test_an_answer_for_each_question() -> None:
    session, _ = connected(KEPT)
    first = session.subscribe([("a", 1), ("b", 0)])
    second = session.unsubscribe(["a"])
    session.ping()
    assert session.pings_outstanding == 1
    granted = [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE, SubAckReasonCode.NOT_AUTHORIZED]
    data = UnsubAckPacket(second, [UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED]).write()
    assert session.receive(data + SubAckPacket(first, granted).write() + b"\xd0\x00") == [
        Unsubscribed(second, (0x11,)),
        Subscribed(first, (1, 0x87)),
        Pong(),
    ]
    assert session.pings_outstanding == 0


@pytest.mark.parametrize(
    "answer",
    [
        SubAckPacket(9, [SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]),
        SubAckPacket(1, [SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE] * 2),
        UnsubAckPacket(1, [UnsubAckReasonCode.SUCCESS]),
        PubAckPacket(1),
        PubAckPacket(1, reason_code=PubAckReasonCode.NOT_AUTHORIZED),
    ],
)
def test_an_answer_to_nothing_breaks_a_rule(answer: SubAckPacket | UnsubAckPacket | PubAckPacket) -> None:
    session, _ = connected(KEPT)
    assert session.subscribe([("t", 0)]) == 1
    with pytest.raises(BrokenRuleError):
        session.receive(answer.write())


def test_every_puback_reason_frees_the_quota() -> None:
    session, _ = connected(KEPT, ConnAckPacket(receive_max=3))
    for token in "abc":
        session.publish("t", b"", 1, token)
    codes = [
        PubAckReasonCode.SUCCESS,
        PubAckReasonCode.NO_MATCHING_SUBSCRIBERS,
        PubAckReasonCode.QUOTA_EXCEEDED,
    ]
    data = b"".join(PubAckPacket(n + 1, reason_code=code).write() for n, code in enumerate(codes))
    assert session.receive(data) == [Acknowledged("a", 0), Acknowledged("b", 0x10), Acknowledged("c", 0x97)]
    assert session.send_quota == 3


@pytest.mark.parametrize("tail", [b"\x00", b"\x00\x00", b"\x00\x05\x1f\x00\x02hi"])
def test_a_long_puback_is_a_puback(tail: bytes) -> None:
    session, _ = connected(KEPT)
    session.publish("t", b"", 1, "token")
    assert session.receive(bytes((0x40, 2 + len(tail), 0, 1)) + tail) == [Acknowledged("token", 0)]


def test_the_brokers_disconnect_is_data() -> None:
    session, _ = connected(KEPT)
    packet = DisconnectPacket(reason_code=DisconnectReasonCode.SESSION_TAKEN_OVER)
    assert session.receive(packet.write() + b"\x00\x00") == [Disconnected(0x8E, packet)]
    assert session.state is State.CLOSED


def test_aliases_are_resolved_and_end_with_the_connection() -> None:
    session, _ = connected(SessionConfig("c", clean_start=False, topic_alias_maximum=2))
    first = PublishPacket("long/topic", b"1", topic_alias=2)
    short = PublishPacket(
        "", b"2", topic_alias=2, qos=QoS.AT_LEAST_ONCE, packet_id=4, user_properties=[("k", "v")], retain=True
    )
    events = session.receive(first.write() + short.write())
    assert events[1] == PublishPacket(
        "long/topic", b"2", topic_alias=2, qos=QoS.AT_LEAST_ONCE, packet_id=4, user_properties=[("k", "v")],
        retain=True,
    )  # fmt: skip
    assert session.take() == PubAckPacket(4).write()
    reconnect(session, ConnAckPacket())
    with pytest.raises(BrokenRuleError, match="never set"):
        session.receive(short.write())


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (PublishPacket("t", b"", topic_alias=3).write(), 0x94),
        (PublishPacket("", b"", topic_alias=1).write(), 0x82),
        (b"\x30\x03\x00\x00\x00", 0x81),  # neither topic nor alias
    ],
)
def test_a_wrong_alias_breaks_a_rule(message: bytes, reason: int) -> None:
    session, broker = connected(SessionConfig("c", topic_alias_maximum=2))
    with pytest.raises(BrokenRuleError) as caught:
        session.receive(message)
    assert caught.value.reason == reason
    broker.feed(session.take())
    assert [packet.reason_code for packet in broker.of(DisconnectPacket)] == [reason]


def test_resume_sends_again_in_order_with_the_same_ids() -> None:
    session, _ = connected(KEPT)
    for n in range(4):
        session.publish("t", bytes((n,)), 1, n)
    session.publish("t", b"gone", 0)
    session.take()
    session.receive(PubAckPacket(2).write())
    event = reconnect(session, ConnAckPacket(session_present=True, receive_max=10))
    assert (event.session_present, event.resent, event.abandoned) == (True, 3, [])
    again = sent(session)
    assert [(one.packet_id, one.payload[0], one.duplicate) for one in again] == [
        (1, 0, True),
        (3, 2, True),
        (4, 3, True),
    ]
    assert session.send_quota == 7


def test_resume_keeps_to_a_smaller_quota_and_to_the_order() -> None:
    session, _ = connected(KEPT)
    for n in range(5):
        session.publish("t", bytes((n,)), 1, n)
    event = reconnect(session, ConnAckPacket(session_present=True, receive_max=2))
    assert event.resent == 5
    assert [one.payload[0] for one in sent(session)] == [0, 1]
    assert session.publish("t", b"new", 1) is False, "older ones go first"
    assert session.unacknowledged == 5
    session.receive(PubAckPacket(2).write())
    assert [one.payload[0] for one in sent(session)] == [2]
    event = reconnect(session, ConnAckPacket(session_present=True, receive_max=3))
    assert [one.payload[0] for one in sent(session)] == [0, 2, 3], "lost again half-way"
    for packet_id in (1, 3, 4):
        session.receive(PubAckPacket(packet_id, reason_code=PubAckReasonCode.UNSPECIFIED_ERROR).write())
    assert [one.payload[0] for one in sent(session)] == [4]
    assert session.receive(PubAckPacket(5).write()) == [Acknowledged(4, 0)]
    assert (session.unacknowledged, session.send_quota) == (0, 3)


def test_without_a_session_everything_is_abandoned() -> None:
    session, _ = connected(KEPT)
    for n in range(3):
        session.publish("t", b"", 1, n)
    event = reconnect(session, ConnAckPacket(receive_max=5))
    assert (event.session_present, event.resent, event.abandoned) == (False, 0, [0, 1, 2])
    assert (session.unacknowledged, session.send_quota, session.take()) == (0, 5, b"")


def test_what_the_new_connection_cannot_carry_is_abandoned() -> None:
    session, _ = connected(KEPT)
    session.publish("t", b"x" * 100, 1, "large")
    session.publish("t", b"x", 1, "small")
    event = reconnect(session, ConnAckPacket(session_present=True, max_packet_size=50))
    assert (event.resent, event.abandoned) == (1, ["large"])
    event = reconnect(session, ConnAckPacket(session_present=True, max_qos=QoS.AT_MOST_ONCE))
    assert (event.resent, event.abandoned) == (0, ["small"])


def test_unanswered_publishes_survive_a_refusal_between() -> None:
    session, _ = connected(KEPT)
    session.publish("t", b"", 1, "token")
    session.connection_lost()
    session.connect()
    session.receive(ConnAckPacket(reason_code=ConnAckReasonCode.SERVER_UNAVAILABLE).write())
    assert reconnect(session, ConnAckPacket(session_present=True)).resent == 1


def test_a_pending_subscription_is_forgotten_with_the_connection() -> None:
    session, _ = connected(KEPT)
    first = session.subscribe([("t", 0)])
    reconnect(session, ConnAckPacket(session_present=True))
    with pytest.raises(BrokenRuleError):
        session.receive(SubAckPacket(first, [SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]).write())


def test_after_our_disconnect_arrivals_are_told_and_not_acknowledged() -> None:
    session, _ = connected(KEPT)
    session.publish("t", b"", 1, "token")
    session.disconnect()
    session.take()
    message = PublishPacket("t", b"", qos=QoS.AT_LEAST_ONCE, packet_id=1)
    assert session.receive(PubAckPacket(1).write() + message.write()) == [Acknowledged("token", 0), message]
    assert session.take() == b""


def test_giving_up_while_connecting() -> None:
    session = Session(KEPT)
    session.connect()
    session.disconnect()
    session.take()
    assert session.receive(ConnAckPacket().write()) == []
    assert session.state is State.DISCONNECTING


def test_a_subscription_takes_no_id_of_a_publish_that_waits_to_be_sent_again() -> None:
    session, _ = connected(KEPT)
    for n in range(3):
        session.publish("t", b"", 1, n)
    reconnect(session, ConnAckPacket(session_present=True, receive_max=1))
    session._last_id = 65_535
    assert session.subscribe([("t", 0)]) == 4
