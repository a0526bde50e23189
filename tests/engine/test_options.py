"""What a message, a subscription and a CONNECT may carry besides the ordinary, over real TLS."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.phase import Phase
from loadgen.metrics.delivery import PublisherLog, SubscriberLog, classify
from loadgen.plan.payload import HEADER_SIZE, PayloadFactory, decode, will_payload
from tests.engine.rig import PUBLISH, QUICK, RUN_ID, SUBSCRIBE, until

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.plan.plan import Plan
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs

SUB: dict[str, Any] = {"subscribe": SUBSCRIBE}


def ledger(plan: Plan, rig: Rig) -> LedgerResult:
    publishers, subscribers = rig.fleet.ledger()
    return classify(
        {number: PublisherLog.from_wire(wire) for number, wire in publishers.items()},
        {number: SubscriberLog.from_wire(wire) for number, wire in subscribers.items()},
        plan.pairs(),
        settled=True,
    )


def test_every_option_of_a_message_reaches_the_broker(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        options = {
            "topic_alias": True,
            "retain": True,
            "message_expiry": "60s",
            "content_type": "text/plain",
            "user_properties": {"site": "north", "who": "{client_id}"},
        }
        async with rigs.broker(connack={"topic_alias_max": 4}) as broker:
            plan = rigs.plan(broker.port, {"pub": {"publish": PUBLISH | options}, "sub": SUB})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.fleet.progress()["unique"] == 30, "all delivered")
            assert broker.errors == []
        assert [(each.topic, each.topic_alias) for each in broker.publishes[:3]] == [
            ("t/0", 1),
            ("", 1),
            ("", 1),
        ]
        for each in broker.publishes:
            assert (each.retain, each.message_expiry_interval, each.content_type) == (True, 60, "text/plain")
            assert each.user_properties == [("site", "north"), ("who", "pub-0")]
        assert ledger(plan, rig).ok == rig.count("received") == 30

    run(scenario())


def test_payloads_from_a_file_and_of_each_clients_own(rigs: Rigs, run: Run, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(b"\0\xffcontent")

    async def scenario() -> None:
        publish = [
            PUBLISH | {"topic": "file", "payload": {"file": str(tmp_path / "content")}},
            PUBLISH | {"topic": "text/{index}", "payload": {"template": "I am {client_id} ✓"}},
        ]
        async with rigs.broker(unmatched_code=0) as broker:
            plan = rigs.plan(broker.port, {"pub": {"clients": 2, "publish": publish}})
            assert [each.payload for each in plan.definitions] == [HEADER_SIZE + 9, HEADER_SIZE + 14]
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await rig.hold("steady")
        found = {(each.topic, each.payload[HEADER_SIZE:]) for each in broker.publishes}
        assert found == {
            ("file", b"\0\xffcontent"),
            ("text/0", "I am pub-0 ✓".encode()),
            ("text/1", "I am pub-1 ✓".encode()),
        }

    run(scenario())


def test_a_megabyte_arrives_whole_and_more_than_the_broker_takes_is_named(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        publish = [
            {"topic": "large", "qos": 1, "rate": "10/s", "payload": "1MB"},
            {"topic": "larger", "qos": 1, "rate": "10/s", "payload": "1100kB"},
        ]
        async with rigs.broker(connack={"max_packet_size": 1_050_000}) as broker:
            groups: dict[str, dict[str, Any]] = {
                "pub": {"publish": publish},
                "sub": {"subscribe": {"filter": "#", "qos": 1}},
            }
            plan = rigs.plan(broker.port, groups)
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.fleet.progress()["unique"] == 3, "all delivered")
        assert [len(each.payload) for each in broker.publishes] == [1_000_000] * 3
        found = ledger(plan, rig)
        assert (found.ok, found.not_attempted, found.lost) == (3, 3, 0)
        assert rig.codes("publish_refusals") == {"packet-too-large": 3}
        assert rig.count("dropped") == 3
        (event,) = rig.of("publish_impossible")
        assert "the broker takes 1050000" in event["error"]

    run(scenario())


@pytest.mark.parametrize("workers", [1, 2])
def test_each_message_takes_one_of_the_lanes_by_chance_that_the_seed_decides(
    rigs: Rigs, run: Run, workers: int
) -> None:
    lanes = PUBLISH | {"topic": "t/{lane:02d}", "lanes": {"count": 5, "choose": "random"}}
    sent: list[Counter[tuple[str, int]]] = []

    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"pub": {"clients": 2, "publish": lanes}, "sub": SUB})
            assert plan.publishers == plan.pair_count == 10
            for worker in range(workers):
                async with rigs.rig(plan, (worker, workers)) as rig:
                    await rig.connect()
                    await rig.hold("steady")
                    if workers == 1:
                        await until(lambda rig=rig: rig.fleet.progress()["unique"] == 60)  # type: ignore[misc]
            if workers == 1:
                found = ledger(plan, rig)
                assert (found.ok, found.expected, found.reordered) == (60, 60, 0)
            places = [(each.topic, decode(each.payload)[1]) for each in broker.publishes]  # type: ignore[index]
            sent.append(Counter(places))

    run(scenario())
    run(scenario())
    assert sent[0] == sent[1], "the same seed chooses the same"
    assert sum(sent[0].values()) == 60
    assert {topic for topic, _ in sent[0]} == {f"t/{lane:02d}" for lane in range(5)}
    assert all(int(topic[2:]) == publisher % 5 for topic, publisher in sent[0]), "a lane is a publisher"


def test_no_local_keeps_a_clients_own_messages_away(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        both = {"clients": 2, "publish": PUBLISH, "subscribe": SUBSCRIBE | {"no_local": True}}
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"chat": both})
            assert sorted(plan.pairs()) == [(0, 1, 1), (1, 0, 1)]
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.fleet.progress()["unique"] == 60)
                assert rig.fleet.progress()["expected"] == 60
        found = ledger(plan, rig)
        assert (found.ok, found.expected, found.unexpected) == (60, 60, 0)

    run(scenario())


def test_filters_with_identifiers_take_a_subscribe_each(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        filters = [
            {"filter": "a", "qos": 1, "subscription_identifier": 7},
            {"filter": "b", "qos": 1},
            {"filter": "c", "qos": 0, "subscription_identifier": 7, "retain_handling": "never"},
            {"filter": "d", "qos": 1, "subscription_identifier": 8, "retain_as_published": True},
        ]
        async with rigs.broker() as broker:
            async with rigs.rig(rigs.plan(broker.port, {"sub": {"subscribe": filters}})) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.READY]
            asked = [
                (each.subscription_id, [f.pattern for f in each.topic_filters]) for each in broker.subscribes
            ]
            assert asked == [(7, ["a", "c"]), (None, ["b"]), (8, ["d"])]
            assert broker.subscribes[2].topic_filters[0].retain_as_published
        assert rig.codes("suback_codes") == {"0x01": 3, "0x00": 1}
        assert rig.histogram("subscribe_time").count == 1

    run(scenario())


def test_one_refusal_among_several_subscribes_fails_the_client(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        filters = [{"filter": name, "qos": 1, "subscription_identifier": n} for n, name in enumerate("ab", 1)]
        async with (
            rigs.broker(suback=lambda pattern: 0x87 if pattern == "a" else None) as broker,
            rigs.rig(rigs.plan(broker.port, {"sub": {"subscribe": filters}})) as rig,
        ):
            await rig.connect()
            assert rig.phases() == [Phase.FAILED]
        assert rig.count("subscribe_failures") == 1

    run(scenario())


@pytest.mark.parametrize("as_published", [False, True])
def test_what_was_retained_before_is_counted_apart(
    rigs: Rigs,
    run: Run,
    as_published: bool,  # noqa: FBT001
) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            earlier = PayloadFactory(RUN_ID + 1, 64).make(0, 3, 1)
            for topic, payload in (("t/8", earlier), ("t/9", b"of somebody else")):
                broker.publish(topic, payload, 1, retain=True)
            groups = {
                "pub": {"publish": PUBLISH | {"retain": True}},
                "sub": {
                    "subscribe": SUBSCRIBE | {"retain_as_published": as_published},
                    "reconnect": QUICK,
                },
            }
            plan = rigs.plan(broker.port, groups)
            async with rigs.rig(plan) as rig:
                await rig.connect()
                await until(lambda: broker.acknowledgements == 2, "both came")
                await rig.hold("steady")
                await until(lambda: rig.fleet.progress()["unique"] == 30)
                # A new session gets the last message of each topic again: no second delivery.
                broker.connection_of("sub-0").end(None)
                await until(lambda: broker.acknowledgements == 35, "all again")
        assert rig.count("retained_received") == 5
        assert rig.count("foreign") == rig.count("duplicates") == 0
        found = ledger(plan, rig)
        assert (found.ok, found.unexpected, found.duplicate) == (30, 0, 0)

    run(scenario())


def test_a_will_is_published_when_a_client_is_cut_off_and_counted_apart(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        will = {"topic": "gone/{cn}", "qos": 1, "payload": {"template": "{client_id}"}, "delay": "5s"}
        keeps = {"session": {"expiry": "60s"}, "reconnect": {"enabled": False}}
        async with rigs.broker() as broker:
            groups: dict[str, dict[str, Any]] = {
                "dev": {"clients": 3, "will": will, **keeps},
                "sub": {"subscribe": {"filter": "#", "qos": 1}},
            }
            plan = rigs.plan(broker.port, groups)
            async with rigs.rig(plan) as rig:
                await rig.connect()
                asked = next(each.will for each in broker.connects if each.client_id == "dev-1")
                assert asked is not None
                assert (asked.topic, asked.will_delay_interval, asked.retain) == ("gone/dev01", 5, False)
                assert asked.payload == will_payload(RUN_ID, 1, b"dev-1")
                broker.connection_of("dev-1").end(None)
                await until(lambda: broker.acknowledgements == 1, "the will came")
        # The others left with a DISCONNECT, after which there is no will [MQTT-3.1.2-10].
        assert rig.count("wills_received") == 1
        assert rig.count("foreign") == 0
        assert ledger(plan, rig).unexpected == 0

    run(scenario())
