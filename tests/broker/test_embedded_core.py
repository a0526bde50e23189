from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mqtt5
import pytest
from mqtt5 import ConnAckReasonCode, DisconnectReasonCode, PubAckReasonCode, QoS, SubAckReasonCode

from loadgen.broker import embedded_session
from loadgen.broker.embedded_core import Core, Violation

if TYPE_CHECKING:
    from loadgen.broker.embedded_session import Session


class Link:
    def __init__(self) -> None:
        self.clogged = False
        self.closed = False
        self._sent = b""

    def send(self, data: bytes) -> None:
        self._sent += data

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[Any]:
        packets = []
        while self._sent:
            packet, size = mqtt5.read(memoryview(self._sent))
            packets.append(packet)
            self._sent = self._sent[size:]
        return packets


class Bench:
    def __init__(self, max_connections: int = 100) -> None:
        self.time = 0.0
        self.core = Core(lambda: self.time, max_connections)

    def connect(self, client_id: str, **options: Any) -> tuple[Link, Session, mqtt5.ConnAckPacket]:  # noqa: ANN401
        link = Link()
        session = self.core.connect(link, mqtt5.ConnectPacket(client_id, **options))
        assert session is not None
        connack, *rest = link.take()
        self.resent = rest
        return link, session, connack

    def subscriber(self, client_id: str, text: str, qos: QoS, **options: Any) -> tuple[Link, Session]:  # noqa: ANN401
        link, session, _ = self.connect(client_id, **options)
        packet = mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(text, max_qos=qos)])
        self.core.subscribe(session, link, packet)
        link.take()
        return link, session

    def publish(self, link: Link, topic: str, payload: bytes, qos: QoS, packet_id: int = 1) -> None:
        self.core.publish(
            link, mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id if qos != Q0 else None)
        )


Q0, Q1, Q2 = QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE


@pytest.fixture
def bench() -> Bench:
    return Bench()


def read(data: bytes) -> Any:  # noqa: ANN401
    return mqtt5.read(memoryview(data))[0]


def payloads(link: Link) -> list[bytes]:
    return [packet.payload for packet in link.take() if isinstance(packet, mqtt5.PublishPacket)]


def test_connack_says_what_is_there(bench: Bench) -> None:
    _, _, connack = bench.connect("a")
    assert connack.reason_code == ConnAckReasonCode.SUCCESS
    assert connack.max_qos == Q1
    assert not connack.retain_available
    assert not connack.shared_subscription_available
    assert not connack.session_present


def test_an_empty_client_id_is_assigned(bench: Bench) -> None:
    _, session, connack = bench.connect("")
    assert connack.assigned_client_id == session.client_id != ""


def test_one_connection_too_many_is_refused() -> None:
    bench = Bench(max_connections=1)
    link, session, _ = bench.connect("a")
    late = Link()
    assert bench.core.connect(late, mqtt5.ConnectPacket("b")) is None
    assert late.take()[0].reason_code == ConnAckReasonCode.QUOTA_EXCEEDED
    assert late.closed
    bench.core.lost(session, link)
    bench.connect("b")


@pytest.mark.parametrize(
    ("published", "subscribed", "delivered"), [(Q0, Q0, Q0), (Q0, Q1, Q0), (Q1, Q0, Q0), (Q1, Q1, Q1)]
)
def test_delivery_is_at_the_lower_qos(bench: Bench, published: QoS, subscribed: QoS, delivered: QoS) -> None:
    reader, _ = bench.subscriber("reader", "t/+", subscribed)
    writer, _, _ = bench.connect("writer")
    bench.publish(writer, "t/1", b"x", published)
    (packet,) = reader.take()
    assert (packet.topic, packet.payload, packet.qos) == ("t/1", b"x", delivered)


def test_properties_travel(bench: Bench) -> None:
    reader, _ = bench.subscriber("reader", "t", Q0)
    pairs = [("a", "1"), ("a", "2")]
    bench.core.publish(reader, mqtt5.PublishPacket("t", b"", user_properties=pairs, content_type="c"))
    (packet,) = reader.take()
    assert (packet.user_properties, packet.content_type) == (pairs, "c")


def test_puback_tells_whether_anyone_was_reached(bench: Bench) -> None:
    writer, _, _ = bench.connect("writer")
    bench.publish(writer, "t", b"x", Q1, 7)
    (alone,) = writer.take()
    assert (alone.packet_id, alone.reason_code) == (7, PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
    bench.subscriber("reader", "t", Q0)
    bench.publish(writer, "t", b"x", Q1, 8)
    (heard,) = writer.take()
    assert (heard.packet_id, heard.reason_code) == (8, PubAckReasonCode.SUCCESS)


def test_receive_maximum_is_kept_and_order_too(bench: Bench) -> None:
    reader, session = bench.subscriber("reader", "t", Q1, receive_max=2)
    writer, _, _ = bench.connect("writer")
    for number in range(5):
        bench.publish(writer, "t", b"%d" % number, Q1)
    first, second = reader.take()
    assert [first.payload, second.payload] == [b"0", b"1"]
    bench.core.acknowledged(session, mqtt5.PubAckPacket(second.packet_id))  # out of order is allowed
    (third,) = reader.take()
    assert third.payload == b"2"
    for packet_id in (first.packet_id, third.packet_id):
        bench.core.acknowledged(session, mqtt5.PubAckPacket(packet_id))
    assert payloads(reader) == [b"3", b"4"]


def test_packet_ids_wrap_and_skip_those_in_flight(bench: Bench) -> None:
    reader, session = bench.subscriber("reader", "t", Q1)
    session.next_id = 65_535
    session.inflight[1] = mqtt5.PublishPacket("t", b"old")
    for _ in range(2):
        bench.publish(reader, "t", b"x", Q1)
    ids = [packet.packet_id for packet in reader.take() if isinstance(packet, mqtt5.PublishPacket)]
    assert ids == [65_535, 2]


def test_a_session_with_expiry_keeps_subscriptions_and_messages(bench: Bench) -> None:
    reader, session = bench.subscriber("reader", "t", Q1, session_expiry_interval=60)
    writer, _, _ = bench.connect("writer")
    bench.publish(writer, "t", b"in flight", Q1)
    (sent,) = reader.take()
    bench.core.lost(session, reader)
    bench.publish(writer, "t", b"while away", Q1)
    bench.time = 59.0
    bench.core.expire()
    _, _, connack = bench.connect("reader", session_expiry_interval=60)
    assert connack.session_present
    again, queued = bench.resent
    assert (again.payload, again.duplicate, again.packet_id) == (b"in flight", True, sent.packet_id)
    assert (queued.payload, queued.duplicate) == (b"while away", False)


def test_a_smaller_receive_maximum_on_resume_is_kept(bench: Bench) -> None:
    reader, session = bench.subscriber("reader", "t", Q1, session_expiry_interval=60)
    for number in range(4):
        bench.publish(reader, "t", b"%d" % number, Q1)
    bench.core.lost(session, reader)
    again, resumed, _ = bench.connect("reader", session_expiry_interval=60, receive_max=1)
    received = []
    while bench.resent:
        (packet,) = bench.resent
        received.append(packet.payload)
        bench.core.acknowledged(resumed, mqtt5.PubAckPacket(packet.packet_id))
        bench.resent = again.take()
    assert received == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("how", ["no expiry", "expired", "clean start"])
def test_a_session_ends(bench: Bench, how: str) -> None:
    expiry = 0 if how == "no expiry" else 60
    reader, session = bench.subscriber("reader", "t", Q1, session_expiry_interval=expiry)
    bench.core.lost(session, reader)
    if how == "expired":
        bench.time = 60.0
        bench.core.expire()
    _, fresh, connack = bench.connect("reader", clean_start=how == "clean start")
    assert not connack.session_present
    assert not fresh.subscriptions
    writer, _, _ = bench.connect("writer")
    bench.publish(writer, "t", b"x", Q1)
    assert writer.take()[0].reason_code == PubAckReasonCode.NO_MATCHING_SUBSCRIBERS


def test_the_second_client_of_an_id_takes_over(bench: Bench) -> None:
    old, session = bench.subscriber("same", "t", Q1, session_expiry_interval=60)
    new, _, connack = bench.connect("same", session_expiry_interval=60)
    (farewell,) = old.take()
    assert farewell.reason_code == DisconnectReasonCode.SESSION_TAKEN_OVER
    assert old.closed
    assert connack.session_present
    bench.core.lost(session, old)  # the old connection ends later: the session must not notice
    bench.publish(new, "t", b"x", Q0)
    assert payloads(new) == [b"x"]
    assert bench.core.connected == 1


def test_a_will_is_published_on_loss_and_not_on_disconnect(bench: Bench) -> None:
    reader, _ = bench.subscriber("reader", "will", Q1)
    will = mqtt5.Will("will", payload=b"gone", qos=Q1)
    lost, session, _ = bench.connect("lost", will=will)
    bench.core.lost(session, lost)
    bench.core.lost(session, lost)
    assert payloads(reader) == [b"gone"]
    polite, session, _ = bench.connect("polite", will=will)
    bench.core.disconnect(session, polite, mqtt5.DisconnectPacket())
    assert payloads(reader) == []
    assert polite.closed


def test_disconnect_may_shorten_the_expiry_and_not_invent_one(bench: Bench) -> None:
    link, session, _ = bench.connect("a", session_expiry_interval=60)
    bench.core.disconnect(session, link, mqtt5.DisconnectPacket(session_expiry_interval=0))
    assert "a" not in bench.core.sessions
    link, session, _ = bench.connect("b")
    with pytest.raises(Violation):
        bench.core.disconnect(session, link, mqtt5.DisconnectPacket(session_expiry_interval=9))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (mqtt5.PublishPacket("t", b"", qos=Q2, packet_id=1), DisconnectReasonCode.QOS_NOT_SUPPORTED),
        (mqtt5.PublishPacket("t", b"", retain=True), DisconnectReasonCode.RETAIN_NOT_SUPPORTED),
        (
            read(mqtt5.PublishPacket("t/x", b"").write().replace(b"t/x", b"t/+")),
            DisconnectReasonCode.TOPIC_NAME_INVALID,
        ),
    ],
)
def test_bad_publishes_are_refused(
    bench: Bench, packet: mqtt5.PublishPacket, reason: DisconnectReasonCode
) -> None:
    link, _, _ = bench.connect("a")
    with pytest.raises(Violation) as caught:
        bench.core.publish(link, packet)
    assert caught.value.reason == reason


def test_suback_answers_each_filter(bench: Bench) -> None:
    link, session, _ = bench.connect("a")
    filters = [mqtt5.TopicFilter(text) for text in ("t", "$share/g/t", "t/x/x")]
    # The codec writes no wrong filter, and reads every one.
    packet = read(mqtt5.SubscribePacket(1, filters).write().replace(b"t/x/x", b"t/#/x"))
    bench.core.subscribe(session, link, packet)
    assert link.take()[0].reason_codes == [
        SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE,
        SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
        SubAckReasonCode.TOPIC_FILTER_INVALID,
    ]


def test_unsubscribe_ends_the_delivery(bench: Bench) -> None:
    link, session = bench.subscriber("a", "t", Q1)
    for expected in (mqtt5.UnsubAckReasonCode.SUCCESS, mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED):
        bench.core.unsubscribe(session, link, mqtt5.UnsubscribePacket(1, ["t"]))
        assert link.take()[0].reason_codes == [expected]
    bench.publish(link, "t", b"x", Q0)
    assert link.take() == []


def test_a_reader_that_does_not_read_loses_qos_0_and_the_count_says_so(bench: Bench) -> None:
    reader, session = bench.subscriber("reader", "t", Q1)
    reader.clogged = True
    bench.publish(reader, "t", b"lost", Q0)
    bench.publish(reader, "t", b"kept", Q1)
    assert payloads(reader) == [b"kept"]
    assert session.dropped == 1
    bench.core.lost(session, reader)
    assert bench.core.dropped == 1


def test_a_full_queue_refuses_the_publisher(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_session, "QUEUE_LIMIT", 1)
    bench.subscriber("reader", "t", Q1, receive_max=1)
    writer, _, _ = bench.connect("writer")
    for _ in range(3):
        bench.publish(writer, "t", b"x", Q1)
    reasons = [packet.reason_code for packet in writer.take()]
    assert reasons == [PubAckReasonCode.SUCCESS] * 2 + [PubAckReasonCode.QUOTA_EXCEEDED]
