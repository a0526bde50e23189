"""Messages both ways: what is published, held back, dropped, acknowledged and received, each counted once."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
from mqtt5 import PublishPacket, QoS

from loadgen.engine.phase import Phase
from loadgen.metrics.delivery import PublisherLog, SubscriberLog
from loadgen.plan.payload import PayloadFactory, decode
from tests.engine.rig import PUBLISH, RUN_ID, SUBSCRIBE, until

if TYPE_CHECKING:
    from loadgen.engine.client import Client
    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

PUB: dict[str, Any] = {"clients": 3, "publish": PUBLISH}
SUB: dict[str, Any] = {"subscribe": SUBSCRIBE}


def writable(client: Client) -> bool:
    return client._connection is not None and client._connection.writable


def sequences(publishes: list[PublishPacket]) -> list[int]:
    found = [decode(each.payload) for each in publishes]
    return [each[2] for each in found if each is not None]


@pytest.mark.parametrize("qos", [0, 1])
def test_every_message_is_sent_and_received_once(rigs: Rigs, run: Run, qos: int) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            groups = {"pub": PUB | {"publish": PUBLISH | {"qos": qos}}, "sub": SUB}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.fleet.progress()["unique"] == 90, "all delivered")
                assert rig.fleet.progress()["expected"] == 90
                assert rig.sent() == [30] * 3
                publishers, subscribers = rig.fleet.ledger()
        assert rig.count("published") == rig.count("received") == 90
        assert rig.count("acknowledged") == (90 if qos else 0)
        assert rig.count("late") == rig.count("dropped") == rig.count("duplicates") == 0
        assert rig.histogram("delivery_latency").count == rig.histogram("send_lag").count == 90
        assert rig.histogram("publish_latency").count == (90 if qos else 0)
        assert rig.histogram("publish_latency").total >= rig.histogram("publish_service_time").total
        logs = [PublisherLog.from_wire(wire) for wire in publishers.values()]
        assert [(log.sent, log.acknowledged) for log in logs] == [(30, 30 if qos else 0)] * 3
        (log,) = (SubscriberLog.from_wire(wire) for wire in subscribers.values())
        assert [log.due(publisher) for publisher in publishers] == [30] * 3
        assert not broker.errors

    run(scenario())


def test_the_brokers_quota_holds_messages_back_and_the_backlog_is_bounded(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        # 30 messages fall due in 300 ms; one may be under way at a time, and its PUBACK takes 100 ms.
        async with rigs.broker(connack={"receive_max": 1}, puback_delay_s=0.1, unmatched_code=0) as broker:
            plan = rigs.plan(broker.port, {"pub": {"publish": PUBLISH, "max_backlog": 5}})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await rig.hold("steady")
                (stream,) = rig.clients[0].streams
                assert rig.clients[0]._backlog is None
        published, dropped = rig.count("published"), rig.count("dropped")
        assert published + dropped == 30
        assert dropped >= 30 - 5 - 5, "in 300 ms at most 4 PUBACKs come; 5 more may wait"
        assert rig.count("late") >= 5
        assert rig.count("acknowledged") == published
        assert (stream.log.sent, stream.log.not_attempted) == (published, dropped)
        assert sequences(broker.publishes) == list(range(published)), "what is dropped takes no number"
        # Late messages keep their intended time: waiting counts as response time, not as service time.
        latency, service = rig.histogram("publish_latency"), rig.histogram("publish_service_time")
        assert latency.count == service.count == published
        assert latency.max > service.max
        assert rig.histogram("send_lag").count + rig.count("late") == published, "waiting is not our own lag"

    run(scenario())


@pytest.mark.parametrize(
    "connack", [{"max_packet_size": 300}, {"max_qos": QoS.AT_MOST_ONCE}], ids=["size", "qos"]
)
def test_what_the_broker_forbids_is_dropped_and_the_rest_goes_on(
    rigs: Rigs, run: Run, connack: dict[str, Any]
) -> None:
    async def scenario() -> None:
        async with rigs.broker(connack=connack) as broker:
            streams = [PUBLISH | {"payload": "1kB"}, PUBLISH | {"topic": "small", "qos": 0}]
            async with rigs.rig(rigs.plan(broker.port, {"pub": {"publish": streams}})) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: len(broker.publishes) == 30)
                assert rig.phases() == [Phase.READY]
                assert rig.sent() == [0, 30]
        assert rig.count("dropped") == rig.count("published") == 30
        assert rig.count("disconnects") == rig.count("late") == 0
        assert len(rig.of("publish_impossible")) == 1
        assert {each.topic for each in broker.publishes} == {"small"}

    run(scenario())


def test_what_was_forbidden_is_not_called_late_when_it_waited(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(connack={"max_packet_size": 300}) as broker:
            groups = {"pub": {"publish": PUBLISH | {"payload": "1kB"}}}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                client = rig.clients[0]
                for _ in range(4):
                    client.publish(client.streams[0], monotonic_ns())
                assert rig.fleet.progress()["backlog"] == 4
                await rig.connect()
                assert rig.fleet.progress()["backlog"] == 0
        assert rig.count("dropped") == 4
        assert rig.count("late") == rig.count("published") == 0

    run(scenario())


@pytest.mark.parametrize(("code", "timed"), [(0x10, True), (0x97, False)])
def test_a_puback_that_promises_nothing_acknowledges_nothing(
    rigs: Rigs,
    run: Run,
    code: int,
    timed: bool,  # noqa: FBT001
) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(puback=lambda _n, _p: code) as broker,
            rigs.rig(rigs.plan(broker.port, {"pub": {"publish": PUBLISH}})) as rig,
        ):
            await rig.connect()
            await rig.hold("steady")
            assert rig.clients[0].streams[0].log.acknowledged == 0
        assert rig.count("acknowledged") == 0
        assert rig.count("publish_errors") == 30
        assert rig.codes("puback_codes") == {f"0x{code:02X}": 30}
        assert rig.histogram("publish_latency").count == (30 if timed else 0)

    run(scenario())


def test_messages_of_others_are_counted_apart(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"sub": SUB})) as rig,
        ):
            await rig.connect()
            for payload in (b"", b"hello", PayloadFactory(RUN_ID + 1, 40).make(0, 0, 0)):
                broker.publish("t/x", payload, qos=1)
            log = rig.clients[0].log
            assert log is not None
            await until(lambda: log.foreign == 3)
            assert rig.fleet.progress()["unique"] == 0
        assert rig.count("received") == rig.count("foreign") == 3
        assert rig.histogram("delivery_latency").count == 0

    run(scenario())


def test_duplicates_and_overtaking_are_seen(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        groups = {"pub": {"publish": PUBLISH}, "sub": SUB}
        async with (
            rigs.broker(duplicate=lambda n, _: n == 3, reorder=lambda n, _: n == 7) as broker,
            rigs.rig(rigs.plan(broker.port, groups)) as rig,
        ):
            await rig.connect()
            await rig.hold("steady")
            await until(lambda: rig.fleet.progress()["unique"] == 30)
        assert (rig.count("duplicates"), rig.count("reordered"), rig.count("received")) == (1, 1, 31)

    run(scenario())


def test_a_socket_that_takes_nothing_pauses_the_client_and_its_backlog_follows(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        groups = {"pub": {"publish": PUBLISH | {"qos": 0, "payload": "1MB"}, "max_backlog": 60_000}}
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, groups)) as rig:
            await rig.connect()
            client = rig.clients[0]
            (stream,) = client.streams
            (peer,) = broker.connections
            assert peer._transport is not None
            peer._transport.pause_reading()
            pushed = 0
            # Past what both kernels' buffers hold, until the socket says stop and three wait behind it.
            while rig.fleet.progress()["backlog"] < 3:
                client.publish(stream, monotonic_ns())
                pushed += 1
                assert pushed < 200
                await until(lambda: True)
            assert not writable(client)
            assert stream.log.sent == pushed - 3
            peer._transport.resume_reading()
            await until(lambda: len(broker.publishes) == pushed, "all arrived")
            assert writable(client)
            assert rig.phases() == [Phase.READY]
        assert sequences(broker.publishes) == list(range(pushed))
        assert rig.count("late") == 3
        assert rig.count("dropped") == 0

    run(scenario())


def test_a_flushed_backlog_stops_where_the_socket_does(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        groups = {"pub": {"publish": PUBLISH | {"qos": 0, "payload": "1MB"}}}
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, groups)) as rig:
            client = rig.clients[0]
            (stream,) = client.streams
            for _ in range(40):
                client.publish(stream, monotonic_ns())
            most = 0

            def watch(n: int, _packet: PublishPacket) -> int:
                nonlocal most
                assert client._connection is not None
                assert client._connection._transport is not None
                most = max(most, client._connection._transport.get_write_buffer_size())
                return 0 * n

            broker.puback = watch
            await rig.connect()
            await until(lambda: len(broker.publishes) == 40, "all arrived")
        # One message beyond the limit, not the whole 40 MB at once.
        assert most < 3_000_000
        assert rig.count("late") == 40

    run(scenario())
