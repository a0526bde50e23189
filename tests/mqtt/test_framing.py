from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mqtt5 import PublishPacket, QoS, read

from loadgen.mqtt.framing import declared_size, with_dup


@given(st.integers(0, 300_000), st.integers(0, 10))
def test_the_declared_size_is_the_size(payload: int, before: int) -> None:
    wire = PublishPacket("t", b"x" * payload).write()
    assert declared_size(b"\x00" * before + wire, before) == len(wire)
    header = len(wire) - payload - 4
    assert declared_size(wire[:header], 0) == len(wire), "the header alone tells it"
    assert declared_size(wire[: header - 1], 0) == 0


def test_dup_changes_nothing_else() -> None:
    wire = PublishPacket("t", b"x", qos=QoS.AT_LEAST_ONCE, packet_id=9, retain=True).write()
    marked, _ = read(memoryview(with_dup(wire)))
    assert marked == PublishPacket("t", b"x", qos=QoS.AT_LEAST_ONCE, packet_id=9, retain=True, duplicate=True)
    assert with_dup(with_dup(wire)) == with_dup(wire)
