"""What a client notes of each outage: how it was noticed, every attempt, and what got through when."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
from mqtt5 import PublishPacket, QoS

from loadgen.engine.phase import Phase
from loadgen.plan.payload import PayloadFactory
from tests.engine.rig import PUBLISH, QUICK, RUN_ID, SUBSCRIBE, until
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from loadgen.metrics.outage import Outage
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs

KEPT: dict[str, Any] = {"clean_start": False, "expiry": "10m"}
SECOND = 1_000_000_000


async def lost_and_back(rig: Rig, times: int = 1) -> None:
    await until(lambda: len(rig.of("lost")) >= times, "lost")
    await until(lambda: rig.phases()[0] is Phase.READY, "ready again")


def in_order(outage: Outage) -> None:
    """Every time of an outage that is over comes after the one before."""
    times = [outage.last_sign, outage.noticed]
    for attempt in outage.attempts:
        times += [attempt.started, attempt.ended]
    assert all(times)
    assert times == sorted(times)
    connected = [outage.noticed, outage.connack, *([outage.suback] if outage.suback else []), outage.ready]
    assert connected == sorted(connected)


@pytest.mark.parametrize(
    ("cut", "cause"),
    [
        (lambda broker: broker.break_connections(), {"reset", "closed"}),
        (lambda broker: broker.break_connections(0x8B), {"disconnect:0x8B"}),
        (lambda broker: [each._transport.close() for each in broker.connections], {"closed"}),
    ],
)
def test_the_whole_timeline_of_an_outage(rigs: Rigs, run: Run, cut: Any, cause: set[str]) -> None:  # noqa: ANN401
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                before = monotonic_ns()
                cut(broker)
                await lost_and_back(rig)
                client = rig.clients[0]
                assert not client.away
                client.publish(client.streams[0], monotonic_ns())
                await until(lambda: rig.fleet.context.outages.unwritten == 1)
                await until(lambda: client.log is not None and client.log.unique == 1)
                await until(lambda: client.streams[0].log.acknowledged == 1)
        (outage,) = rig.book.outages
        assert outage.cause in cause
        assert (outage.client, outage.client_id, outage.group) == (0, "g-0", "g")
        assert outage.node == outage.ready_node == f"127.0.0.1:{broker.port}"
        assert before < outage.noticed < outage.connack <= outage.ready
        assert outage.session_present is True
        assert not outage.suback, "the session had the subscription"
        assert (outage.awaits_ack, outage.awaits_delivery, outage.ended) == (True, True, "ready")
        assert outage.ready < min(outage.first_ack, outage.first_delivery)
        assert outage.complete
        assert [(each.phase, each.outcome) for each in outage.attempts] == [("ready", "ready")]
        assert (outage.attempt_count, outage.outcomes) == (1, {"ready:ready": 1})
        assert 10_000_000 <= outage.waited <= 50_000_000
        in_order(outage)
        (event,) = rig.of("outage")
        assert event == outage.to_event()
        assert rig.fleet.context.outages.away == 0

    run(scenario())


def test_a_session_that_is_gone_is_subscribed_again_and_told(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"subscribe": SUBSCRIBE, "session": KEPT, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                broker.sessions.clear()
                broker.break_connections()
                await lost_and_back(rig)
        (outage,) = rig.book.outages
        assert outage.session_present is False
        assert outage.connack < outage.suback <= outage.ready
        assert not outage.awaits_ack
        assert (outage.first_ack, outage.first_delivery, outage.complete) == (0, 0, False)
        (event,) = rig.of("outage")
        assert event["first_delivery"] is None, "written at the end, as nothing came"

    run(scenario())


def test_a_node_that_is_gone_refuses_until_it_is_back(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.broker() as other:
            ports = [broker.port, other.port]
            group = {"reconnect": {"backoff": "5ms", "order": "stick"}}
            async with rigs.rig(rigs.plan(ports, {"g": group})) as rig:
                await rig.connect()
                await broker.stop()
                await until(lambda: rig.count("connect_failures") + len(rig.of("lost")) > 60, "many attempts")
                assert rig.fleet.progress()["away"] == 1
                assert rig.clients[0].away
                await broker.listen()
                await lost_and_back(rig)
                assert rig.fleet.progress()["away"] == 0
                assert not other.connects
        (outage,) = rig.book.outages
        refused = outage.outcomes["tcp:refused"]
        assert refused >= 58
        assert outage.attempt_count == refused + 1
        assert len(outage.attempts) == 50
        assert outage.attempts[-1].outcome == "ready"
        assert {each.node for each in outage.attempts} == {outage.node}
        assert outage.waited == 5_000_000 * outage.attempt_count
        in_order(outage)

    run(scenario())


def test_a_silent_node_is_noticed_by_keep_alive(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(pong=False, connack={"server_keep_alive": 1}) as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            await until(lambda: len(rig.book.outages) > 0 or bool(rig.of("lost")))
            await lost_and_back(rig)
        outage = rig.book.outages[0]
        assert outage.cause == "keep-alive"
        assert 0.7 * SECOND < outage.noticed - outage.last_sign < 2.5 * SECOND

    run(scenario())


def test_a_connack_that_does_not_come_is_given_up_and_its_late_take_over_is_ours(
    rigs: Rigs, run: Run
) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"reconnect": {"backoff": "5ms", "connack_timeout": "100ms"}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                broker.silent = True
                broker.break_connections()
                await until(lambda: rig.count("connect_failures") + len(rig.of("lost")) >= 3)
                broker.silent = False
                await lost_and_back(rig)
                # Those that were given up end at the broker when it hears of it.
                await until(lambda: len(broker.connections) == 1)
                (peer,) = broker.connections
                peer.end(0x8E)  # as if the CONNECT that was given up had come through at last
                await lost_and_back(rig, len(rig.of("lost")) + 1)
        first, second = rig.book.outages
        assert first.outcomes["connack:timeout"] >= 2
        assert first.outcomes["ready:ready"] == 1
        assert 95_000_000 <= first.slowest_connack < 10 * SECOND  # a timer of 100 ms may be a little early
        assert first.slow_connacks == 0
        assert second.cause == "disconnect:0x8E"
        assert rig.count("takeovers") == 1

    run(scenario())


def test_a_take_over_by_somebody_else_is_not_ours(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            broker.break_connections(0x8E)
            await lost_and_back(rig)
        assert (rig.count("takeovers"), len(rig.book)) == (0, 1)

    run(scenario())


def test_a_connack_of_more_than_ten_seconds_is_counted_as_slow(
    rigs: Rigs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.engine.client_outage.SLOW_CONNACK", 50_000_000)
    monkeypatch.setattr("loadgen.metrics.outage.SLOW_CONNACK", 50_000_000)

    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            broker.connack_delay_s = 0.1
            broker.break_connections()
            await lost_and_back(rig)
        (outage,) = rig.book.outages
        assert (outage.slow_connacks, rig.count("slow_connacks")) == (1, 1)
        assert outage.slowest_connack >= 100_000_000

    run(scenario())


def test_who_gives_up_and_whom_the_run_leaves_behind_is_told(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            groups = {
                "few": {"reconnect": {**QUICK, "max_attempts": 2}},
                "many": {"reconnect": QUICK},
            }
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                await broker.stop()
                await until(lambda: Phase.FAILED in rig.phases())
                await until(lambda: rig.count("connect_failures") + len(rig.of("lost")) > 5)
                assert [client.away for client in rig.clients] == [True, True]
        ends = {each.group: each for each in rig.book.outages}
        assert (ends["few"].ended, ends["few"].attempt_count) == ("gave-up", 2)
        assert (ends["many"].ended, ends["many"].ready) == ("run-over", 0)
        assert sorted(each["ended"] for each in rig.of("outage")) == ["gave-up", "run-over"]
        assert rig.book.away == 2

    run(scenario())


class Halfway(FakeBroker):
    """Cuts the second connection off when its SUBSCRIBE comes."""

    def cut_halfway(self, _pattern: str) -> None:
        if len(self.connects) == 2:
            self.break_connections()


def test_cut_off_again_before_it_was_ready_is_the_same_outage(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with Halfway(ssl=rigs.server_tls) as broker:
            broker.suback = broker.cut_halfway
            group = {"subscribe": SUBSCRIBE, "reconnect": QUICK}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                broker.break_connections()
                await lost_and_back(rig, 2)
        (outage,) = rig.book.outages
        assert [each.phase for each in outage.attempts] == ["suback", "ready"]
        assert rig.count("disconnects") == 2
        assert rig.fleet.context.outages.away == 0
        in_order(outage)

    run(scenario())


def test_a_second_cut_is_an_outage_of_its_own(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker() as broker,
            rigs.rig(rigs.plan(broker.port, {"g": {"reconnect": QUICK}})) as rig,
        ):
            await rig.connect()
            for times in (1, 2):
                broker.break_connections()
                await lost_and_back(rig, times)
        first, second = rig.book.outages
        assert first.ready < second.noticed

    run(scenario())


def test_the_dup_flag_is_no_duplicate_and_a_late_redelivery_is_named(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                (peer,) = broker.connections
                payloads = PayloadFactory(RUN_ID, 64)
                now = monotonic_ns()
                for sequence, late in ((0, 1), (1, 61), (1, 61)):
                    payload = payloads.make(0, sequence, now - late * SECOND)
                    message = PublishPacket(
                        "t/0", payload, qos=QoS.AT_LEAST_ONCE, packet_id=sequence + 1, duplicate=True
                    )
                    peer.write(message.write())
                await until(lambda: broker.acknowledgements == 3)
        assert (rig.count("received"), rig.count("duplicates")) == (3, 1)
        assert (rig.count("dup_flagged"), rig.count("late_redeliveries")) == (2, 1)
        assert rig.histogram("redelivery_latency").count == 2
        assert rig.histogram("redelivery_latency").max >= 61 * SECOND

    run(scenario())


def test_marks_say_how_far_every_publisher_was(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"clients": 2, "publish": PUBLISH}})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                rig.fleet.mark(0, "open")
                client = rig.clients[1]
                for _ in range(3):
                    client.publish(client.streams[0], monotonic_ns())
                rig.fleet.mark(0, "close")
                assert rig.fleet.marks() == {0: {"open": {0: 0, 1: 0}, "close": {0: 0, 1: 3}}}

    run(scenario())
