"""Connections that are lost: how that is noticed, and what is resumed, sent again or given up."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from mqtt5 import ConnAckPacket, ConnectPacket, DisconnectPacket, DisconnectReasonCode, PubAckPacket

from loadgen.engine.phase import Phase
from loadgen.plan.payload import decode
from tests.engine.rig import PUBLISH, QUICK, SUBSCRIBE, until
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from loadgen.engine.client import Client
    from loadgen.engine.stream import Stream
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs
    from tests.fakes.broker_connection import BrokerConnection

KEPT: dict[str, Any] = {"clean_start": False, "expiry": "10m"}


async def back(rig: Rig, times: int = 1) -> None:
    """Come back when the first client was lost and is ready again."""
    await until(lambda: len(rig.of("lost")) >= times, "lost")
    await until(lambda: rig.phases()[0] is Phase.READY, "ready again")


async def three_under_way(rig: Rig, broker: FakeBroker) -> tuple[Client, Stream]:
    """Connect, and have the first client publish three messages that the broker has and does not answer."""
    await rig.connect()
    client = rig.clients[0]
    (stream,) = client.streams
    for _ in range(3):
        client.publish(stream, monotonic_ns())
    await broker.until(lambda: len(broker.publishes) == 3)
    return client, stream


def test_a_session_that_ended_is_subscribed_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"sub": {"subscribe": SUBSCRIBE, "reconnect": QUICK}})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                broker.break_connections()
                await back(rig)
                assert len(broker.subscribes) == 2
                assert rig.clients[0].log is not None
                assert rig.clients[0].log.absent, "nothing was promised in between"
        assert rig.count("disconnects") == rig.count("reconnects") == rig.count("sessions_lost") == 1
        (cause,) = rig.codes("disconnect_codes")
        assert cause in {"reset", "closed"}
        for metric in ("detect_time", "reconnect_time", "connect_time"):
            assert rig.histogram(metric).count == 1, metric
        assert rig.histogram("subscribe_time").count == 2
        assert rig.histogram("recovery_time").count == 0, "no message got through since"

    run(scenario())


def test_a_kept_session_is_resumed_and_what_was_not_acknowledged_is_sent_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        # Nobody hears of the first three; after the loss the broker answers.
        async with rigs.broker(puback=lambda n, _: None if n < 3 else 0) as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                _client, stream = await three_under_way(rig, broker)
                broker.break_connections()
                client_was = rig.fleet.progress()["inflight"]
                await back(rig)
                await until(lambda: stream.log.acknowledged == 3)
                assert client_was == 3
                assert rig.fleet.progress()["inflight"] == 0
                assert len(broker.subscribes) == 1, "the session has the subscription"
        assert (rig.count("republished"), rig.count("abandoned")) == (3, 0)
        assert rig.count("published") == rig.count("acknowledged") == 3
        again = broker.publishes[3:]
        assert [each.duplicate for each in again] == [True] * 3
        assert [each.payload for each in again] == [each.payload for each in broker.publishes[:3]]
        assert rig.count("sessions_lost") == 0
        assert rig.histogram("publish_latency").min > rig.histogram("reconnect_time").max
        assert rig.histogram("recovery_time").count == 1
        # Equal when CONNACK and the first message came in one read.
        assert rig.histogram("recovery_time").min >= rig.histogram("reconnect_time").max

    run(scenario())


def test_an_outage_lasts_until_a_message_gets_through(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        # Lost twice before anything gets through: one outage, longer than both times to reconnect.
        async with rigs.broker() as broker:
            plan = rigs.plan(
                broker.port, {"g": {"publish": PUBLISH, "subscribe": SUBSCRIBE, "reconnect": QUICK}}
            )
            async with rigs.rig(plan) as rig:
                await rig.connect()
                client = rig.clients[0]
                (stream,) = client.streams
                for times in (1, 2):
                    broker.break_connections()
                    await back(rig, times)
                for _ in range(2):
                    client.publish(stream, monotonic_ns())
                await until(lambda: stream.log.acknowledged == 2)
        reconnects = rig.histogram("reconnect_time")
        assert reconnects.count == 2
        assert rig.histogram("recovery_time").count == 1
        assert rig.histogram("recovery_time").min > reconnects.total

    run(scenario())


def test_a_kept_session_that_is_gone_abandons_what_was_under_way(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda n, _: None if n < 3 else 0) as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                client, stream = await three_under_way(rig, broker)
                broker.break_connections()
                broker.sessions.clear()
                await back(rig)
                assert rig.fleet.progress()["inflight"] == 0
                assert client.log is not None
                assert not client.log.absent, "the broker broke a promise: nothing is excused"
                client.publish(stream, monotonic_ns())
                await until(lambda: stream.log.acknowledged == 1)
        assert (rig.count("abandoned"), rig.count("republished")) == (3, 0)
        assert rig.count("sessions_lost") == 1
        assert [decode(each.payload)[2] for each in broker.publishes] == [0, 1, 2, 3]  # type: ignore[index]

    run(scenario())


def test_messages_due_while_away_wait_and_are_late(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"publish": PUBLISH, "reconnect": QUICK, "max_backlog": 3}})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await broker.stop()
                await until(lambda: bool(rig.of("lost")))
                client = rig.clients[0]
                for _ in range(5):
                    client.publish(client.streams[0], monotonic_ns())
                assert rig.fleet.progress()["backlog"] == 3
                await broker.listen()
                await until(lambda: len(broker.publishes) == 3)
                assert rig.fleet.progress()["backlog"] == 0
        assert (rig.count("late"), rig.count("dropped")) == (3, 2)

    run(scenario())


def test_a_take_over_is_told_by_its_reason(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        off = {"reconnect": {"enabled": False}, "client_id": "same"}
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": off})
            async with rigs.rig(plan) as older, rigs.rig(plan) as newer:
                await older.connect()
                await newer.connect()
                await until(lambda: older.phases() == [Phase.FAILED])
                assert newer.phases() == [Phase.READY]
        assert older.codes("disconnect_codes") == {"disconnect:0x8E": 1}
        assert newer.count("disconnects") == 0

    run(scenario())


def test_a_silent_broker_is_noticed_by_keep_alive(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(pong=False) as broker:
            plan = rigs.plan(
                broker.port,
                {"g": {"keep_alive": "1s", "reconnect": {"enabled": False}}},
                timeouts={"ping": "200ms"},
            )
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await until(lambda: rig.phases() == [Phase.FAILED])
                assert broker.pings == 1
        assert rig.codes("disconnect_codes") == {"keep-alive": 1}
        assert rig.histogram("detect_time").min >= 700_000_000, (
            "half a second of quiet, then the ping's limit"
        )

    run(scenario())


def test_pings_keep_a_quiet_connection(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(connack={"server_keep_alive": 1}) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"keep_alive": "1h"}})) as rig,
        ):
            await rig.connect()
            assert rig.clients[0].keep_alive == 1, "the broker's choice wins"
            await until(lambda: broker.pings >= 2)
            assert rig.phases() == [Phase.READY]
        assert rig.count("disconnects") == 0

    run(scenario())


def test_a_subscription_that_was_granted_once_is_asked_for_until_it_is_again(rigs: Rigs, run: Run) -> None:
    """A cluster that just lost a node answers 0x80 for a while."""

    async def scenario() -> None:
        refusing = False
        async with rigs.broker(suback=lambda _: 0x80 if refusing else None) as broker:
            groups = {"g": {"subscribe": [SUBSCRIBE], "reconnect": QUICK}}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                refusing = True
                broker.break_connections()
                await until(lambda: len(rig.of("subscribe_refused")) >= 2, "refused twice")
                refusing = False
                await until(lambda: rig.phases() == [Phase.READY], "ready again")
                lost = rig.of("lost")
        refused = len(rig.of("subscribe_refused"))
        assert rig.codes("suback_codes") == {"0x01": 2, "0x80": refused}
        assert rig.count("subscribe_failures") == refused
        assert [each["cause"] for each in lost[1:]] == ["refused:0x80"] * refused
        assert {each["phase"] for each in lost[1:]} == {"suback"}

    run(scenario())


def test_a_lower_qos_than_before_is_a_matter_of_settings(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        lowered = False
        async with rigs.broker(suback=lambda _: 0 if lowered else None) as broker:
            groups = {"g": {"subscribe": [SUBSCRIBE], "reconnect": QUICK}}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                lowered = True
                broker.break_connections()
                await until(lambda: rig.phases() == [Phase.FAILED], "gave up")
        assert rig.codes("suback_codes") == {"0x00": 1, "0x01": 1}

    run(scenario())


def test_a_refused_subscription_ends_the_client_and_its_session(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(suback=lambda pattern: 0x87 if pattern == "no" else None) as broker:
            filters = [SUBSCRIBE, {"filter": "no", "qos": 1}]
            async with rigs.rig(
                rigs.plan(broker.port, {"g": {"subscribe": filters, "session": KEPT}})
            ) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.FAILED]
                await broker.until(lambda: not broker.sessions and not broker.connections)
                assert [each.session_expiry_interval for each in broker.disconnects] == [0]
                client = rig.clients[0]
                assert client.log is not None
        assert client.log.absent, "what it never subscribed for was not promised"
        assert rig.codes("suback_codes") == {"0x01": 1, "0x87": 1}
        assert rig.count("subscribe_failures") == 1
        assert len(rig.of("subscribe_refused")) == 1

    run(scenario())


def test_a_lower_qos_than_asked_is_a_refusal(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(suback=lambda _: 0) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"subscribe": SUBSCRIBE}})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]

    run(scenario())


def test_a_client_that_gave_up_leaves_nothing_to_wait_for(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda _n, _p: None) as broker:
            group = {"publish": PUBLISH, "reconnect": {**QUICK, "max_attempts": 1}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                client, stream = await three_under_way(rig, broker)
                await broker.stop()
                await until(lambda: bool(rig.of("lost")))
                client.publish(stream, monotonic_ns())
                await until(lambda: rig.phases() == [Phase.FAILED])
                client.publish(stream, monotonic_ns())
                now = rig.fleet.progress()
                assert (now["inflight"], now["backlog"]) == (0, 0), "a drain stage would wait for these"
                assert (stream.log.sent, stream.log.not_attempted) == (3, 2)
        assert rig.count("dropped") == 2

    run(scenario())


class Fickle(FakeBroker):
    """Accepts the first connect and closes it in the same breath: both packets in one TLS record."""

    def accept(self, connection: BrokerConnection, packet: ConnectPacket) -> None:
        if self.connects:
            super().accept(connection, packet)
            return
        self.connects.append(packet)
        goodbye = DisconnectPacket(reason_code=DisconnectReasonCode(0x8B))
        connection.write(ConnAckPacket().write() + goodbye.write())
        connection.end(None)


def test_accepted_and_closed_in_one_breath(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with Fickle(ssl=rigs.server_tls) as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                client = rig.clients[0]
                client.publish(client.streams[0], monotonic_ns())
                await rig.connect()
                assert rig.phases() == [Phase.READY]
                await until(lambda: len(broker.publishes) == 1)
        assert rig.codes("connect_errors") == {"connack:disconnect:0x8B": 1}
        assert (rig.count("late"), rig.count("dropped")) == (1, 0), "what waited was not dropped"

    run(scenario())


def test_a_broken_rule_is_told_to_the_broker_and_ends_the_connection(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            (peer,) = broker.connections
            peer.write(PubAckPacket(77).write())
            await back(rig)
            await broker.until(lambda: bool(broker.disconnects))
            assert int(broker.disconnects[0].reason_code) == 0x82
        assert rig.codes("disconnect_codes") == {"protocol-error:0x82": 1}
        assert "not under way" in rig.of("protocol_error")[0]["error"]

    run(scenario())
