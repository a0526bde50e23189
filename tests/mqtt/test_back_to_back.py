"""A publishing and a subscribing session, back to back over a broker's books, with losses in between."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings
from mqtt5 import ConnAckPacket, PubAckPacket, PublishPacket

from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import Acknowledged, Connected, Event, Redelivered
from loadgen.mqtt.session import Session
from tests.fakes.broker_sessions import BrokerSession, outgoing
from tests.fakes.scripted_broker import PacketReader

WINDOW = 3


class Wire:
    """One client's end: its session, and the bytes of the broker that are on their way to it."""

    def __init__(self, client_id: str) -> None:
        self.session = Session(
            SessionConfig(client_id, clean_start=False, session_expiry=600, receive_maximum=WINDOW)
        )
        self.arriving = bytearray()
        self.reader = PacketReader()
        self.events: list[Event] = []
        self.connect(present=False)

    def connect(self, *, present: bool) -> Connected:
        self.arriving.clear()
        self.reader = PacketReader()
        self.session.connect()
        self.session.take()
        (event,) = self.session.receive(ConnAckPacket(session_present=present, receive_max=WINDOW).write())
        assert isinstance(event, Connected)
        return event

    def send(self, data: bytes) -> None:
        """Put bytes of the broker on the way."""
        self.arriving += data

    def arrive(self, size: int) -> None:
        self.events += self.session.receive(bytes(self.arriving[:size]))
        del self.arriving[:size]


ACTIONS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["to publisher", "to subscriber"]), st.integers(1, 12)),
    st.tuples(
        st.sampled_from(["from publisher", "from subscriber", "lose publisher", "lose subscriber"]),
        st.just(0),
    ),
)


class Relay:
    def __init__(self) -> None:
        self.publisher, self.subscriber = Wire("p"), Wire("s")
        self.books = BrokerSession("s", window=WINDOW, send=self.subscriber.send, subscriptions={"t": 1})
        self.published = 0
        self.broker_acknowledged: list[bytes] = []

    def act(self, action: str, amount: int) -> None:
        publisher, subscriber = self.publisher, self.subscriber
        if action == "publish":
            for _ in range(amount):
                payload = b"%d" % self.published
                self.published += publisher.session.publish("t", payload, 1, payload)
        elif action == "to publisher":
            publisher.arrive(amount)
        elif action == "to subscriber":
            subscriber.arrive(amount)
        elif action == "from publisher":
            self.from_publisher(publisher.session.take())
        elif action == "from subscriber":
            self.from_subscriber(subscriber.session.take())
        elif action == "lose publisher":
            publisher.session.connection_lost()
            assert publisher.connect(present=True).abandoned == []
        else:
            subscriber.session.connection_lost()
            subscriber.connect(present=True)
            self.books.resume()

    def from_publisher(self, data: bytes) -> None:
        for packet in self.publisher.reader.feed(data):
            assert isinstance(packet, PublishPacket)
            assert packet.packet_id is not None
            self.books.deliver(outgoing(packet, 1, packet_id=1))
            self.publisher.send(PubAckPacket(packet.packet_id).write())
            self.broker_acknowledged.append(packet.payload)

    def from_subscriber(self, data: bytes) -> None:
        for packet in self.subscriber.reader.feed(data):
            assert isinstance(packet, PubAckPacket)
            self.books.acknowledge(packet.packet_id)

    def settle(self) -> None:
        """Let everything arrive, without further losses."""
        while (
            self.publisher.arriving
            or self.subscriber.arriving
            or self.publisher.session._out
            or self.subscriber.session._out
        ):
            self.from_publisher(self.publisher.session.take())
            self.publisher.arrive(1000)
            self.subscriber.arrive(1000)
            self.from_subscriber(self.subscriber.session.take())


@given(st.lists(ACTIONS, max_size=60))
@settings(deadline=None, max_examples=150)
def test_nothing_is_lost_and_first_deliveries_keep_their_order(actions: list[tuple[str, int]]) -> None:
    relay = Relay()
    for action, amount in actions:
        relay.act(action, amount)
    relay.settle()
    everything = [b"%d" % n for n in range(relay.published)]
    acknowledged = [one.token for one in relay.publisher.events if isinstance(one, Acknowledged)]
    assert len(acknowledged) == len(set(acknowledged)) == relay.published, "each publish is acknowledged once"
    messages = (one.message if isinstance(one, Redelivered) else one for one in relay.subscriber.events)
    delivered = [one.payload for one in messages if isinstance(one, PublishPacket)]
    assert list(dict.fromkeys(delivered)) == everything
    assert relay.publisher.session.unacknowledged == 0
    assert not relay.books.inflight
    assert not relay.books.queued


def test_the_relay_is_no_echo() -> None:
    """Without losses nothing comes twice, so that the property above means something."""
    relay = Relay()
    for _ in range(10):
        relay.act("publish", 1)
        relay.settle()
    assert [one.payload for one in relay.subscriber.events if isinstance(one, PublishPacket)] == [
        b"%d" % n for n in range(10)
    ]
