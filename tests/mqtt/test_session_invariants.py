"""Random lives of a session against a broker that keeps its own books."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mqtt5 import (
    ConnAckPacket,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    SubAckPacket,
    SubAckReasonCode,
    SubscribePacket,
)

from loadgen.mqtt import core, outbound
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import Acknowledged, Connected, Subscribed
from loadgen.mqtt.session import Session
from loadgen.mqtt.state import State
from tests.fakes.scripted_broker import ScriptedBroker


class Life(RuleBasedStateMachine):
    """Tokens are 0, 1, 2…; a message's payload is its token, so order can be seen on the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(SessionConfig("c", clean_start=False, session_expiry=600))
        # Few ids, so that they wrap all the time: 6 publishes and 5 questions at most are under way.
        self.narrow = pytest.MonkeyPatch()
        for module in (core, outbound):
            self.narrow.setattr(module, "MAXIMUM_ID", 12)
        self.published = 0
        self.open: list[int] = []
        """Tokens published and neither acknowledged nor abandoned, in order."""
        self.quota = 0
        self.under_way: dict[int, int] = {}
        """On this connection, as the broker sees it: packet id → token."""
        self.ids: dict[int, int] = {}
        """Over all connections of this MQTT session: token → the packet id it was first sent with."""
        self.questions: dict[int, int] = {}
        self.written: list[int] = []
        """Tokens in the order of their arrival on this connection."""

    def teardown(self) -> None:
        self.narrow.undo()

    @initialize(quota=st.integers(1, 6))
    def start(self, quota: int) -> None:
        self._connect(quota, present=False)

    def _connect(self, quota: int, *, present: bool) -> None:
        self.session.connect()
        self.session.take()
        self.broker = ScriptedBroker()
        self.quota, self.under_way, self.questions, self.written = quota, {}, {}, []
        expected = list(self.open)
        (event,) = self.session.receive(ConnAckPacket(session_present=present, receive_max=quota).write())
        assert isinstance(event, Connected)
        if present:
            assert (event.resent, event.abandoned) == (len(expected), [])
        else:
            assert (event.resent, event.abandoned) == (0, expected)
            self.open, self.ids = [], {}
        self._read(again=set(self.open))

    def _read(self, again: set[int] | None = None) -> None:
        """Let the broker see what was sent, and hold the session to the rules."""
        for packet in self.broker.feed(self.session.take()):
            if isinstance(packet, SubscribePacket):
                assert packet.packet_id not in self.under_way
                assert packet.packet_id not in self.questions
                self.questions[packet.packet_id] = len(packet.topic_filters)
            if not isinstance(packet, PublishPacket) or packet.packet_id is None:
                continue
            token = int(packet.payload)
            assert packet.packet_id not in self.under_way, "packet id in use"
            assert packet.packet_id not in self.questions, "packet id in use"
            assert self.ids.setdefault(token, packet.packet_id) == packet.packet_id, (
                "sent again under another id"
            )
            if again is not None:
                assert packet.duplicate is (token in again)
            self.under_way[packet.packet_id] = token
            self.written.append(token)
            assert len(self.under_way) <= self.quota, "quota exceeded"

    @property
    def connected(self) -> bool:
        return self.session.state is State.CONNECTED

    @precondition(lambda self: self.connected)
    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        for _ in range(count):
            room = len(self.open) < self.quota
            accepted = self.session.publish("t", str(self.published).encode(), 1, self.published)
            assert accepted is room, "blocked exactly when the quota is used up"
            if accepted:
                self.open.append(self.published)
                self.published += 1

    @precondition(lambda self: self.connected)
    @rule()
    def publish_qos_0(self) -> None:
        assert self.session.publish("t", b"", 0)

    @precondition(lambda self: self.connected and len(self.session._pending or ()) < 5)
    @rule()
    def subscribe(self) -> None:
        packet_id = self.session.subscribe([("t", 1)])
        assert packet_id not in self.session.inflight
        assert packet_id not in {self.ids[token] for token in self.open if token in self.ids}

    @precondition(lambda self: self.connected)
    @rule()
    def write(self) -> None:
        self._read()

    @precondition(lambda self: self.connected and self.under_way)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0x10, 0x97]))
    def acknowledge(self, data: st.DataObject, code: int) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.under_way)))
        token = self.under_way.pop(packet_id)
        answer = PubAckPacket(packet_id, reason_code=PubAckReasonCode(code))
        assert self.session.receive(answer.write()) == [Acknowledged(token, code)]
        self.open.remove(token)
        del self.ids[token]

    @precondition(lambda self: self.connected and self.questions)
    @rule()
    def answer(self) -> None:
        packet_id, count = self.questions.popitem()
        answer = SubAckPacket(packet_id, [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * count)
        assert self.session.receive(answer.write()) == [Subscribed(packet_id, (1,) * count)]

    @precondition(lambda self: self.connected)
    @rule(quota=st.integers(1, 6), present=st.booleans(), written=st.booleans())
    def lose_and_reconnect(self, quota: int, *, present: bool, written: bool) -> None:
        if written:
            self._read()
        self.session.connection_lost()
        # What was queued and never taken keeps the id the session gave it.
        for packet_id, (wire, token) in self.session.inflight.items():
            assert str(token).encode() in wire
            assert isinstance(token, int)
            self.ids.setdefault(token, packet_id)
        self._connect(quota, present=present)

    @invariant()
    def books_agree(self) -> None:
        assert self.session.unacknowledged == len(self.open)
        if self.connected:
            assert 0 <= self.session.send_quota == self.quota - len(self.session.inflight)

    @invariant()
    def in_order(self) -> None:
        """[MQTT-4.6.0-1]: on one connection nothing is sent before what was published earlier."""
        assert self.written == sorted(self.written)
        assert [token for _, token in self.session.inflight.values()] == self.open[
            : len(self.session.inflight)
        ]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
