"""Topic aliases that we set: told once on each connection, never trusted over to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mqtt5 import ConnAckPacket, PublishPacket

from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.core import ForbiddenError
from loadgen.mqtt.options import PublishOptions
from tests.fakes.scripted_broker import PacketReader, connected

if TYPE_CHECKING:
    from loadgen.mqtt.session import Session

ALIAS = PublishOptions(alias=True)
KEPT = SessionConfig("c", clean_start=False, session_expiry=60)


def sent(session: Session) -> list[tuple[str, int | None]]:
    """(topic, alias) of everything queued."""
    packets = PacketReader().feed(session.take())
    return [(each.topic, each.topic_alias) for each in packets if isinstance(each, PublishPacket)]


@pytest.mark.parametrize("qos", [0, 1])
def test_the_topic_is_named_once_and_then_by_its_alias(qos: int) -> None:
    session, _ = connected(KEPT, ConnAckPacket(topic_alias_max=2))
    for topic in ("a", "b", "a", "c", "b", "c"):
        assert session.publish(topic, b"", qos, None, ALIAS)
    # Two aliases are all that this broker has: the third topic is always named.
    assert sent(session) == [("a", 1), ("b", 2), ("", 1), ("c", None), ("", 2), ("c", None)]


def test_a_broker_without_aliases_gets_none() -> None:
    session, _ = connected(KEPT, ConnAckPacket())
    session.publish("a", b"", 0, None, ALIAS)
    session.publish("a", b"", 0, None, ALIAS)
    assert sent(session) == [("a", None)] * 2


def test_aliases_end_with_the_connection_and_what_is_sent_again_names_its_topic() -> None:
    session, _ = connected(KEPT, ConnAckPacket(topic_alias_max=2))
    for topic in ("b", "a", "a"):
        session.publish(topic, b"", 1, None, ALIAS)
    assert sent(session) == [("b", 1), ("a", 2), ("", 2)]
    session.connection_lost()
    session.connect()
    session.take()
    session.receive(ConnAckPacket(session_present=True, topic_alias_max=1).write())
    session.publish("a", b"", 1, None, ALIAS)
    session.publish("a", b"", 1, None, ALIAS)
    assert sent(session) == [("b", None), ("a", None), ("a", None), ("a", 1), ("", 1)]


def test_a_message_that_was_refused_has_told_no_alias() -> None:
    session, _ = connected(KEPT, ConnAckPacket(topic_alias_max=2, max_packet_size=50))
    with pytest.raises(ForbiddenError, match="the broker takes 50") as refused:
        session.publish("a", b"x" * 60, 1, None, ALIAS)
    assert refused.value.why == "packet-too-large"
    session.publish("a", b"", 1, None, ALIAS)
    assert sent(session) == [("a", 1)]
