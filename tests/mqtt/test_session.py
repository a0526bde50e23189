"""The receiving loop: fragments, limits, and what is left after a broken rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import (
    ConnAckPacket,
    DisconnectPacket,
    DisconnectReasonCode,
    PingRespPacket,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubAckReasonCode,
)

from loadgen.errors import LocalProtocolError, RemoteProtocolError
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import Acknowledged, BrokenRuleError, Event
from loadgen.mqtt.session import Session
from loadgen.mqtt.state import State
from tests.fakes.scripted_broker import connected, message

CONFIG = SessionConfig("c")


def script() -> tuple[Session, bytes]:
    """Give a session with everything under way, and one stream with every kind of packet that may come."""
    session = Session(SessionConfig("c", topic_alias_maximum=1))
    session.connect()
    session.take()
    session.receive(ConnAckPacket().write())
    session.subscribe([("a", 1)])
    session.ping()
    session.publish("t", b"", 1, "first")
    session.publish("t", b"", 1, "second")
    session.take()
    packets = (
        SubAckPacket(1, [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]),
        PubAckPacket(2),
        message(payload=b"0"),
        PublishPacket("long", b"1" * 200, qos=QoS.AT_LEAST_ONCE, packet_id=7, topic_alias=1),
        PublishPacket("", b"2", topic_alias=1),
        PingRespPacket(),
        PubAckPacket(3, reason_code=PubAckReasonCode.QUOTA_EXCEEDED),
        message(packet_id=8),
        DisconnectPacket(reason_code=DisconnectReasonCode.SERVER_SHUTTING_DOWN),
    )
    return session, b"".join(packet.write() for packet in packets)


def whole() -> tuple[list[Event], bytes]:
    session, data = script()
    return session.receive(data), session.take()


def test_the_whole_stream_at_once() -> None:
    events, out = whole()
    assert len(events) == 9
    assert out == PubAckPacket(7).write() + PubAckPacket(8).write()


def test_every_byte_boundary_gives_the_same() -> None:
    _, data = script()
    for cut in range(len(data) + 1):
        session, _ = script()
        events = session.receive(data[:cut]) + session.receive(data[cut:])
        assert (events, session.take()) == whole(), cut
        assert session._buffer is None


def test_single_bytes_give_the_same() -> None:
    session, data = script()
    events = [event for n in range(len(data)) for event in session.receive(data[n : n + 1])]
    assert (events, session.take()) == whole()


@given(st.lists(st.integers(1, 30), min_size=1))
def test_any_pieces_give_the_same(sizes: list[int]) -> None:
    session, data = script()
    events: list[Event] = []
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        events += session.receive(data[:size])
        data, turn = data[size:], turn + 1
    assert (events, session.take()) == whole()


def test_a_large_message_in_small_pieces() -> None:
    session, _ = connected(CONFIG)
    wire = message(payload=bytes(300_000), packet_id=1).write() + message().write()
    events: list[Event] = []
    for at in range(0, len(wire), 1400):
        events += session.receive(wire[at : at + 1400])
    assert [len(one.payload) for one in events if isinstance(one, PublishPacket)] == [300_000, 1]


def test_a_broken_rule_keeps_what_came_before() -> None:
    session, broker = connected(CONFIG)
    session.publish("t", b"", 1, "token")
    session.take()
    good = message(packet_id=5)
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive(PubAckPacket(1).write() + good.write() + b"\x00\x00" + PubAckPacket(1).write())
    assert isinstance(caught.value, BrokenRuleError)
    assert caught.value.events == [Acknowledged("token", 0), good]
    assert caught.value.reason == 0x81
    assert "0x81" in str(caught.value)
    assert session.state is State.CLOSED
    broker.feed(session.take())
    assert broker.received[-2:] == [
        PubAckPacket(5),
        DisconnectPacket(reason_code=DisconnectReasonCode.MALFORMED_PACKET),
    ]
    assert session.receive(b"anything") == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PublishPacket("t", b"", qos=QoS.EXACTLY_ONCE, packet_id=1).write(), 0x9B),
        (b"\x32\x07\x00\x01t\x00\x00\x00\x00", 0x82),  # packet id 0
        (PubAckPacket(1).write(), 0x82),
        (b"\x40\x02\x00\x00", 0x82),
        (b"\xc0\x00", 0x82),  # PINGREQ
        (b"\x30\xff\xff\xff\xff\x01", 0x81),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 8, 0x81),
    ],
)
def test_what_a_broker_must_not_send(data: bytes, reason: int) -> None:
    session, broker = connected(CONFIG)
    with pytest.raises(BrokenRuleError) as caught:
        session.receive(data)
    assert caught.value.reason == reason
    broker.feed(session.take())
    assert broker.received[-1] == DisconnectPacket(reason_code=DisconnectReasonCode(reason))


def test_more_under_way_than_our_receive_maximum() -> None:
    session, _ = connected(SessionConfig("c", receive_maximum=2))
    two = message(packet_id=1).write() + message(packet_id=2).write()
    assert len(session.receive(two + message().write())) == 3, "QoS 0 does not count"
    session.take()
    assert len(session.receive(two)) == 2, "the broker has seen our PUBACKs"
    with pytest.raises(BrokenRuleError) as caught:
        session.receive(message(packet_id=3).write())
    assert caught.value.reason == 0x93


@pytest.mark.parametrize("payload", [94, 95, 5000])
def test_our_maximum_packet_size_is_judged_by_the_header(payload: int) -> None:
    session, _ = connected(SessionConfig("c", maximum_packet_size=100))
    wire = message("t", bytes(payload)).write()
    if len(wire) <= 100:
        assert len(session.receive(wire)) == 1
        return
    for data in (wire, wire[:5]):
        session, _ = connected(SessionConfig("c", maximum_packet_size=100))
        with pytest.raises(BrokenRuleError) as caught:
            session.receive(data)
        assert caught.value.reason == 0x95


def test_bytes_without_a_connection_are_ours() -> None:
    with pytest.raises(LocalProtocolError):
        Session(CONFIG).receive(b"\xd0\x00")


def test_a_fragment_does_not_survive_the_connection() -> None:
    session, _ = connected(CONFIG)
    session.receive(message(payload=b"cut").write()[:5])
    session.connection_lost()
    session.connect()
    session.take()
    session.receive(ConnAckPacket().write())
    assert session.receive(message().write()) == [message()]


def test_an_idle_session_is_small() -> None:
    session, _ = connected(CONFIG)
    assert not hasattr(session, "__dict__")
    assert (session._pending, session._waiting, session._aliases, session._buffer) == (None,) * 4
