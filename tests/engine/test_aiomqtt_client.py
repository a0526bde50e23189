"""`--client aiomqtt`: the library's connections behave as ours do, and both count the same."""

from __future__ import annotations

import functools
import socket
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.aiomqtt_client import AiomqttClient
from loadgen.engine.aiomqtt_link import WINDOW
from loadgen.engine.driver import run_with
from loadgen.engine.phase import Phase
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.metrics.delivery import PublisherLog, SubscriberLog, classify
from loadgen.plan.payload import decode
from tests.engine.rig import PUBLISH, QUICK, SUBSCRIBE, until

if TYPE_CHECKING:
    from pathlib import Path

    from mqtt5 import PublishPacket

    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.plan.plan import Plan
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs

ONCE: dict[str, Any] = {**QUICK, "max_attempts": 1}
KEPT: dict[str, Any] = {"clean_start": False, "expiry": "10m"}
NOT_TOLD = ("tcp_connect", "tls_handshake", "mqtt_connect", "detect_time")


def aiomqtt(plan: Plan) -> Plan:
    return replace(plan, driver="aiomqtt")


def ledger(rig: Rig, plan: Plan) -> LedgerResult:
    publishers, subscribers = rig.fleet.ledger()
    return classify(
        {number: PublisherLog.from_wire(wire) for number, wire in publishers.items()},
        {number: SubscriberLog.from_wire(wire) for number, wire in subscribers.items()},
        plan.pairs(),
        settled=True,
    )


def is_message(packet: PublishPacket, topic: str, sequence: int) -> bool:
    header = decode(packet.payload)
    assert header is not None
    return packet.topic == topic and header[2] == sequence


@pytest.fixture
def run() -> Run:
    return functools.partial(run_with, "aiomqtt")


async def back(rig: Rig) -> None:
    await until(lambda: bool(rig.of("lost")), "lost")
    await until(lambda: rig.phases()[0] is Phase.READY, "ready again")


# -- connecting --------------------------------------------------------------------------------------


def test_each_client_shows_its_certificate_and_its_settings(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {
                "clients": 4,
                "subscribe": SUBSCRIBE,
                "user_properties": [["name", "{cn}"], ["name", "again"]],
                "session": KEPT,
                "keep_alive": "17s",
                "receive_maximum": 9,
            }
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                assert all(type(client) is AiomqttClient for client in rig.clients)
                assert rig.phases() == [Phase.READY] * 4
                assert rig.clients[0].tls is not None
                assert rig.clients[0].tls[0] == "TLSv1.3"
            names = [dict(part[0] for part in each["subject"])["commonName"] for each in broker.certificates]
            assert sorted(names) == [f"dev{n:02d}" for n in range(4)]
            assert {each.client_id for each in broker.connects} == {f"g-{n}" for n in range(4)}
            by_id = {each.client_id: each for each in broker.connects}
            assert by_id["g-2"].user_properties == [("name", "dev02"), ("name", "again")]
            for each in broker.connects:
                assert (each.clean_start, each.session_expiry_interval) == (False, 600)
                assert (each.keep_alive, each.receive_max) == (17, 9)
            # A clean end leaves no session behind, though one was to be kept.
            assert [int(each.reason_code) for each in broker.disconnects] == [0] * 4
            assert [each.session_expiry_interval for each in broker.disconnects] == [0] * 4
        for metric in ("connect_time", "subscribe_time"):
            assert rig.histogram(metric).count == 4, metric
        assert [rig.histogram(metric).count for metric in NOT_TOLD] == [0] * len(NOT_TOLD)
        assert rig.count("connects") == rig.count("connect_attempts") == 4
        assert rig.codes("connack_codes") == {"0x00": 4}
        assert rig.codes("suback_codes") == {"0x01": 4}
        assert rig.count("bytes_sent") == 0

    run(scenario())


@pytest.mark.parametrize(
    ("options", "errors", "attempts"),
    [
        ({"refuse": 0x87}, {"connack:refused:0x87": 1}, 1),
        ({"refuse": lambda n, _: 0x89 if n < 2 else 0}, {"connack:refused:0x89": 2}, 3),
        ({"silent": True}, {"connack:timeout": 1}, 1),
        ({"suback": lambda _: 0x87}, {}, 1),
    ],
    ids=["for good", "for the moment", "no CONNACK", "no subscription"],
)
def test_refusals(
    rigs: Rigs, run: Run, options: dict[str, Any], errors: dict[str, int], attempts: int
) -> None:
    async def scenario() -> None:
        async with rigs.broker(**options) as broker:
            reconnect = {**QUICK, "max_attempts": attempts}
            group = {"reconnect": reconnect, "subscribe": SUBSCRIBE}
            plan = rigs.plan(broker.port, {"g": group}, timeouts={"connack": "300ms"})
            async with rigs.rig(aiomqtt(plan)) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.READY if attempts == 3 else Phase.FAILED]
        assert rig.codes("connect_errors") == errors
        assert rig.count("connect_attempts") == attempts
        refused = [word.rsplit(":", 1)[1] for word in errors if "refused" in word]
        assert set(rig.codes("connack_codes")) - {"0x00"} == set(refused)
        assert rig.count("subscribe_failures") == ("suback" in options)

    run(scenario())


def test_a_subscription_that_was_granted_once_is_asked_for_until_it_is_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        refusing = False
        async with rigs.broker(suback=lambda _: 0x80 if refusing else None) as broker:
            plan = rigs.plan(broker.port, {"g": {"subscribe": SUBSCRIBE, "reconnect": QUICK}})
            async with rigs.rig(aiomqtt(plan)) as rig:
                await rig.connect()
                refusing = True
                broker.break_connections()
                await until(lambda: len(rig.of("subscribe_refused")) >= 2, "refused twice")
                refusing = False
                await until(lambda: rig.phases() == [Phase.READY], "ready again")
        assert rig.codes("suback_codes") == {"0x01": 2, "0x80": rig.count("subscribe_failures")}

    run(scenario())


def test_causes_of_failed_connects(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "other")
    identity = stranger.issue_clients([ClientRequest("dev00")])[0]
    missing = replace(rigs.identities[0], certificate_file=str(tmp_path / "missing.pem"))

    async def failing(plan: Plan) -> dict[str, int]:
        async with rigs.rig(aiomqtt(plan)) as rig:
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
        return rig.codes("connect_errors")

    async def scenario() -> None:
        group = {"g": {"reconnect": ONCE}}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            assert await failing(rigs.plan(taken.getsockname()[1], group)) == {"tcp:refused": 1}
            # It takes connections, and never says a word of TLS.
            taken.listen()
            silent = rigs.plan(taken.getsockname()[1], group, timeouts={"tcp": "200ms", "tls": "200ms"})
            assert await failing(silent) == {"tls:timeout": 1}
        async with rigs.broker() as broker:
            assert await failing(rigs.plan(broker.port, group, identities=[missing])) == {
                "tls:certificate": 1
            }
            wrong_name = {"ca": str(rigs.authority.certificate), "server_name": "elsewhere"}
            (cause,) = await failing(rigs.plan(broker.port, group, tls=wrong_name))
            assert cause.startswith("tls:tls:certificate_verify_failed:Hostname mismatch")
            # TLS 1.3 has the client done before the server has judged it.
            (cause,) = await failing(rigs.plan(broker.port, group, identities=[identity]))
            assert cause == "connack:lost"
            right_name = wrong_name | {"server_name": "localhost"}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, group, tls=right_name))) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.READY]

    run(scenario())


def test_a_broker_that_closes_before_connack_is_not_waited_for(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(silent=True) as broker:
            plan = rigs.plan(broker.port, {"g": {"reconnect": ONCE}}, timeouts={"connack": "1h"})
            async with rigs.rig(aiomqtt(plan)) as rig:
                rig.start_connect()
                await broker.until(lambda: len(broker.connects) == 1)
                broker.break_connections()
                await until(lambda: rig.phases() == [Phase.FAILED])
        assert rig.codes("connect_errors") == {"connack:lost": 1}

    run(scenario())


def test_the_second_node_is_tried_after_the_first(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        with socket.socket() as dead:
            dead.bind(("127.0.0.1", 0))
            async with rigs.broker() as broker:
                plan = rigs.plan([dead.getsockname()[1], broker.port], {"g": {"reconnect": QUICK}})
                async with rigs.rig(aiomqtt(plan)) as rig:
                    await rig.connect()
                    assert rig.phases() == [Phase.READY]
        assert rig.codes("connect_errors") == {"tcp:refused": 1}
        assert rig.count("connect_attempts") == 2

    run(scenario())


# -- messages ----------------------------------------------------------------------------------------


def test_both_drivers_give_the_same_totals_and_the_same_ledger(rigs: Rigs, run: Run) -> None:
    groups: dict[str, dict[str, Any]] = {
        "pub": {"clients": 3, "publish": [PUBLISH, PUBLISH | {"qos": 0, "topic": "u/{index}"}]},
        "sub": {"clients": 2, "subscribe": [SUBSCRIBE, {"filter": "u/0", "qos": 1}]},
        "none": {"publish": PUBLISH | {"topic": "nobody"}},
    }
    names = (
        "connects", "published", "acknowledged", "publish_errors", "received", "duplicates", "dropped",
        "disconnects",
    )  # fmt: skip
    metrics = ("publish_latency", "publish_service_time", "delivery_latency", "connect_time")

    async def scenario() -> None:
        found: list[dict[str, Any]] = []
        for driver in ("native", "aiomqtt"):
            async with rigs.broker(
                drop=lambda _, packet: is_message(packet, "t/1", 4),
                duplicate=lambda _, packet: is_message(packet, "t/2", 7),
            ) as broker:
                plan = replace(rigs.plan(broker.port, groups), driver=driver)
                async with rigs.rig(plan) as rig:
                    await rig.connect()
                    await rig.hold("steady")
                    await until(lambda: rig.fleet.progress()["unique"] == 238)
                assert not broker.errors
            kept = ledger(rig, plan)
            found.append(
                {
                    "counts": {name: rig.count(name) for name in names},
                    "codes": {family: rig.codes(family) for family in ("puback_codes", "suback_codes")},
                    "samples": {metric: rig.histogram(metric).count for metric in metrics},
                    # On a busy machine the library falls behind: what waited is late and has no send lag.
                    "on time or late": rig.histogram("send_lag").count + rig.count("late"),
                    "sent": rig.sent(),
                    "ledger": {
                        name: getattr(kept, name)
                        for name in ("ok", "duplicate", "lost", "recovered", "indeterminate", "unexpected")
                    },
                }
            )
        native, library = found
        assert library == native
        assert library["ledger"] == {
            "ok": 236, "duplicate": 2, "lost": 2, "recovered": 0, "indeterminate": 0, "unexpected": 0,
        }  # fmt: skip
        assert library["codes"]["puback_codes"] == {"0x10": 30}

    run(scenario())


def test_latency_counts_from_the_intended_time_and_no_more_than_the_window_is_under_way(
    rigs: Rigs, run: Run
) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda *_: None) as broker:
            group = {"publish": PUBLISH, "max_backlog": 3}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                client = rig.clients[0]
                for _ in range(WINDOW + 5):
                    client.publish(client.streams[0], monotonic_ns() - 2_000_000_000)
                await until(lambda: len(broker.publishes) == WINDOW)
                now = rig.fleet.progress()
                assert (now["inflight"], now["backlog"]) == (WINDOW, 3)
                assert rig.sent() == [WINDOW]
        assert rig.count("dropped") == 2 + 3, "two had no room, and three were never sent"
        assert rig.histogram("send_lag").min >= 2_000_000_000 * 0.999
        # Never answered: each counts with the time it had waited.
        assert rig.count("unanswered") == rig.histogram("publish_latency").count == WINDOW

    run(scenario())


def test_the_brokers_receive_maximum_is_kept(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(connack={"receive_max": 4}, puback=lambda *_: None) as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "reconnect": QUICK, "session": KEPT}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                client = rig.clients[0]
                for _ in range(12):
                    client.publish(client.streams[0], monotonic_ns())
                await broker.until(lambda: len(broker.publishes) == 4)
                assert (rig.fleet.progress()["inflight"], rig.fleet.progress()["backlog"]) == (4, 8)
                # With answers the others follow, never more than four at a time.
                most = 0

                def watch(_n: int, _packet: PublishPacket) -> int:
                    nonlocal most
                    most = max(most, rig.fleet.progress()["inflight"])
                    return 0

                broker.puback = watch
                broker.break_connections()
                await until(lambda: client.streams[0].log.acknowledged == 12)
                assert most == 4
        assert (rig.count("republished"), rig.count("late")) == (4, 8)

    run(scenario())


def test_what_nobody_subscribed_to_is_not_acknowledged(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with (
            rigs.broker(puback=lambda n, _: (0x00, 0x10, 0x97)[n]) as broker,
            rigs.rig(
                aiomqtt(rigs.plan(broker.port, {"g": {"publish": PUBLISH, "subscribe": SUBSCRIBE}}))
            ) as rig,
        ):
            await rig.connect()
            client = rig.clients[0]
            for _ in range(3):
                client.publish(client.streams[0], monotonic_ns())
            await until(lambda: sum(rig.fleet.progress()[each] for each in ("inflight", "backlog")) == 0)
        assert rig.codes("puback_codes") == {"0x10": 1, "0x97": 1}
        assert (rig.count("acknowledged"), rig.count("publish_errors")) == (1, 2)
        assert client.streams[0].log.acknowledged == 1

    run(scenario())


def test_options_of_publishes_subscriptions_and_wills(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        publish = PUBLISH | {
            "retain": True,
            "message_expiry": "90s",
            "content_type": "text/plain",
            "user_properties": {"from": "{cn}"},
            "payload": {"template": "of {cn}"},
        }
        subscribe = [
            SUBSCRIBE | {"no_local": True, "retain_as_published": True, "retain_handling": "never"},
            {"filter": "u/+", "qos": 0, "subscription_identifier": 7},
        ]
        will = {"topic": "gone/{cn}", "qos": 1, "delay": "30s", "payload": "64B"}
        async with rigs.broker() as broker:
            group = {"publish": publish, "subscribe": subscribe, "will": will}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                client = rig.clients[0]
                client.publish(client.streams[0], monotonic_ns())
                await broker.until(lambda: len(broker.publishes) == 1)
                await until(lambda: rig.fleet.progress()["inflight"] == 0)
            (packet,) = broker.publishes
            assert packet.retain
            assert (packet.message_expiry_interval, packet.content_type) == (90, "text/plain")
            assert packet.user_properties == [("from", "dev00")]
            assert packet.payload.endswith(b"of dev00")
            plain, tagged = broker.subscribes
            (wanted,) = plain.topic_filters
            assert (wanted.no_local, wanted.retain_as_published) == (True, True)
            assert int(wanted.retain_handling) == 2
            assert (plain.subscription_id, tagged.subscription_id) == (None, 7)
            (connect,) = broker.connects
            assert connect.will is not None
            assert (connect.will.topic, connect.will.will_delay_interval) == ("gone/dev00", 30)
            assert len(connect.will.payload or b"") == 64
        assert rig.codes("suback_codes") == {"0x01": 1, "0x00": 1}

    run(scenario())


# -- losing ------------------------------------------------------------------------------------------


def test_a_kept_session_is_resumed_and_what_was_not_acknowledged_is_sent_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda n, _: None if n < 3 else 0) as broker:
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": QUICK}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                client = rig.clients[0]
                (stream,) = client.streams
                for _ in range(3):
                    client.publish(stream, monotonic_ns())
                await broker.until(lambda: len(broker.publishes) == 3)
                broker.break_connections()
                await back(rig)
                await until(lambda: stream.log.acknowledged == 3)
                assert rig.fleet.progress()["inflight"] == 0
                assert len(broker.subscribes) == 1, "the session has the subscription"
        assert (rig.count("republished"), rig.count("abandoned")) == (3, 0)
        assert rig.count("published") == rig.count("acknowledged") == 3
        again = broker.publishes[3:]
        assert [each.duplicate for each in again] == [True] * 3
        assert [each.payload for each in again] == [each.payload for each in broker.publishes[:3]]
        assert rig.codes("disconnect_codes") == {"lost": 1}
        assert rig.count("disconnects") == rig.count("reconnects") == 1
        assert rig.histogram("reconnect_time").count == 1
        assert rig.histogram("publish_latency").min > rig.histogram("reconnect_time").max

    run(scenario())


def test_a_session_that_ended_is_subscribed_again(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"subscribe": SUBSCRIBE, "reconnect": QUICK}
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, {"g": group}))) as rig:
                await rig.connect()
                broker.break_connections()
                await back(rig)
                assert len(broker.subscribes) == 2
                broker.publish("t/1", b"of somebody else", qos=1)
                await broker.until(lambda: broker.acknowledgements == 1)
        assert rig.count("sessions_lost") == 1
        assert rig.count("received") == rig.count("foreign") == 1

    run(scenario())


def test_messages_due_while_away_wait_and_are_late(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"publish": PUBLISH, "reconnect": QUICK, "max_backlog": 3}})
            async with rigs.rig(aiomqtt(plan)) as rig:
                await rig.connect()
                await broker.stop()
                await until(lambda: bool(rig.of("lost")))
                client = rig.clients[0]
                for _ in range(5):
                    client.publish(client.streams[0], monotonic_ns())
                assert rig.fleet.progress()["backlog"] == 3
                await broker.listen()
                await until(lambda: len(broker.publishes) == 3)
                await until(lambda: rig.fleet.progress()["inflight"] == 0)
        assert (rig.count("late"), rig.count("dropped")) == (3, 2)
        assert [decode(each.payload)[2] for each in broker.publishes] == [0, 1, 2]  # type: ignore[index]

    run(scenario())


def test_why_a_connection_ended(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        off = {"reconnect": {"enabled": False}, "client_id": "same"}
        async with rigs.broker() as broker:
            plan = aiomqtt(rigs.plan(broker.port, {"g": off}))
            async with rigs.rig(plan) as older, rigs.rig(plan) as newer:
                await older.connect()
                await newer.connect()
                await until(lambda: older.phases() == [Phase.FAILED])
                assert newer.phases() == [Phase.READY]
        assert older.codes("disconnect_codes") == {"disconnect:0x8E": 1}
        async with rigs.broker(pong=False) as broker:
            plan = rigs.plan(broker.port, {"g": {**off, "keep_alive": "1s"}})
            async with rigs.rig(aiomqtt(plan)) as deaf:
                await deaf.connect()
                await until(lambda: deaf.phases() == [Phase.FAILED])
            assert broker.pings > 0
        assert deaf.codes("disconnect_codes") == {"keep-alive": 1}

    run(scenario())


def test_every_client_comes_back_while_all_publish(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        groups = {
            "pub": {"clients": 10, "publish": PUBLISH, "reconnect": QUICK, "session": KEPT},
            "sub": {"clients": 2, "subscribe": SUBSCRIBE, "reconnect": QUICK, "session": KEPT},
        }
        async with rigs.broker() as broker:
            plan = aiomqtt(rigs.plan(broker.port, groups, {"steady": "1s"}))
            async with rigs.rig(plan) as rig:
                await rig.connect()
                at = monotonic_ns()
                rig.fleet.start_stage("steady", "hold", at)
                for times in range(1, 4):
                    await until(lambda times=times: len(broker.publishes) > 200 * times)  # type: ignore[misc]
                    broker.break_connections()
                    await until(lambda times=times: len(rig.of("lost")) >= 12 * times)  # type: ignore[misc]
                    await until(lambda: set(rig.phases()) == {Phase.READY})
                rig.fleet.start_stage("drain", "drain", at + rig.fleet.shard.segments["steady"].duration)
                await rig.settled()
                await until(lambda: rig.fleet.progress()["unique"] == rig.fleet.progress()["expected"])
        kept = ledger(rig, plan)
        assert (kept.lost, kept.unexpected, kept.indeterminate) == (0, 0, 0)
        assert rig.count("published") == rig.count("acknowledged") == 1000
        assert kept.expected == 2000

    run(scenario())


def test_clients_that_come_and_go(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback_delay_s=0.05, unmatched_code=0) as broker:
            group = {"clients": 4, "publish": PUBLISH, "lifetime": "300ms", "pause": "100ms", "session": KEPT}
            plan = rigs.plan(broker.port, {"g": group}, {"steady": "1s"})
            async with rigs.rig(aiomqtt(plan)) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.phases() == [Phase.READY] * 4, "all back")
                left = len(rig.of("left"))
                assert len(broker.disconnects) == left >= 4
                # The session outlives a planned end, and is resumed.
                assert all(each.session_expiry_interval is None for each in broker.disconnects)
                assert [each["session_present"] for each in rig.of("connected")].count(True) == left
        assert rig.count("planned_disconnects") == left
        assert rig.count("connects") == 4 + left
        assert rig.count("published") == rig.count("acknowledged")
        assert rig.count("published") + rig.count("skipped") == 400
        for name in ("disconnects", "connect_failures", "reconnects", "sessions_lost", "dropped"):
            assert rig.count(name) == 0, name

    run(scenario())


# -- ending ------------------------------------------------------------------------------------------


def test_a_stop_at_any_moment_comes_back(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        group = {"g": {"reconnect": QUICK, "publish": PUBLISH, "subscribe": SUBSCRIBE}}
        with socket.socket() as mute:  # takes connections and says nothing: stopped in the TLS handshake
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            async with rigs.rig(aiomqtt(rigs.plan(mute.getsockname()[1], group))) as rig:
                rig.start_connect()
                await until(lambda: rig.phases() == [Phase.TLS])
            assert rig.phases() == [Phase.CLOSED]
        async with rigs.broker(silent=True) as broker:  # before CONNACK
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, group))) as rig:
                rig.start_connect()
                await broker.until(lambda: len(broker.connects) == 1)
            assert rig.phases() == [Phase.CLOSED]
        async with rigs.broker(suback=lambda _: None) as broker:  # with all well
            async with rigs.rig(aiomqtt(rigs.plan(broker.port, group))) as rig:
                await rig.connect()
                client = rig.clients[0]
                client.publish(client.streams[0], monotonic_ns())
            assert len(broker.disconnects) == 1
            assert rig.phases() == [Phase.CLOSED]
        with socket.socket() as dead:  # while it waits to try again
            dead.bind(("127.0.0.1", 0))
            waits = {"g": {"reconnect": {"backoff": "1h..2h"}}}
            async with rigs.rig(aiomqtt(rigs.plan(dead.getsockname()[1], waits))) as rig:
                rig.start_connect()
                await until(lambda: rig.phases() == [Phase.WAITING])
            assert rig.phases() == [Phase.CLOSED]

    run(scenario())
