"""Clients that come and go: evenly spread, in good order, and no failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.phase import Phase
from tests.engine.rig import PUBLISH, SUBSCRIBE, until

if TYPE_CHECKING:
    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

COMES_AND_GOES: dict[str, Any] = {"lifetime": "400ms", "pause": "100ms"}


def test_clients_leave_evenly_spread_and_come_back(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"clients": 8, **COMES_AND_GOES}}, {"steady": "1s"})
            async with rigs.rig(plan) as rig:
                await rig.connect()
                assert not rig.of("left"), "nobody leaves before there is a hold"
                await rig.hold("steady", drain=False)
                start = rig.fleet._interval_start
                await until(lambda: len(rig.of("left")) >= 8, "each was gone once")
                first = rig.of("left")[:8]
                assert [each["client_id"] for each in first] == [f"g-{n}" for n in range(8)]
                lives = [(each["ns"] - start) / 1e6 for each in first]
                assert all(n * 50 - 10 <= life for n, life in enumerate(lives, 1)), lives
                await until(lambda: len(rig.of("left")) >= 16, "and again")
                rig.fleet.start_stage("drain", "drain", start + 1_000_000_000)
                await until(
                    lambda: rig.fleet.stage == "drain" and rig.phases() == [Phase.READY] * 8, "all back"
                )
                left = len(rig.of("left"))
        assert rig.count("planned_disconnects") == left == len(broker.disconnects) - 8
        assert all(each.session_expiry_interval is None for each in broker.disconnects)
        assert rig.count("connects") == rig.histogram("connect_time").count == 8 + left
        for name in ("disconnects", "connect_failures", "reconnects", "sessions_lost"):
            assert rig.count(name) == 0, name
        assert rig.histogram("reconnect_time").count == rig.histogram("detect_time").count == 0

    run(scenario())


def test_a_leaving_publisher_waits_for_its_acknowledgements_and_skips_what_is_due_meanwhile(
    rigs: Rigs, run: Run
) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback_delay_s=0.1, unmatched_code=0) as broker:
            group = {"publish": PUBLISH, "lifetime": "200ms", "pause": "200ms"}
            async with rigs.rig(rigs.plan(broker.port, {"g": group}, {"steady": "500ms"})) as rig:
                await rig.connect()
                await rig.hold("steady")
                await until(lambda: rig.phases() == [Phase.READY], "back")
                (stream,) = rig.clients[0].streams
                assert stream.log.sent == stream.log.acknowledged == rig.fleet.clients[0].streams[0].log.sent
        published, skipped = rig.count("published"), rig.count("skipped")
        # Due every 10 ms; from 200 ms on it waits 100 ms for PUBACKs, is away for 200 ms, and is back.
        assert published + skipped + rig.count("dropped") == 50
        assert 20 <= skipped <= 30
        assert rig.count("dropped") == rig.count("unanswered") == rig.count("abandoned") == 0
        assert stream.log.not_attempted == skipped
        assert rig.count("planned_disconnects") == 1

    run(scenario())


def test_a_leaving_client_that_loses_its_connection_lost_it(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        # Without PUBACKs the client stays LEAVING, until the broker breaks the connection.
        async with rigs.broker(puback=lambda _n, _p: None) as broker:
            group = {"publish": PUBLISH, "lifetime": "100ms", "reconnect": {"enabled": False}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                await rig.hold("steady", drain=False)
                await until(lambda: rig.phases() == [Phase.LEAVING], "about to leave")
                broker.break_connections()
                await until(lambda: rig.phases() == [Phase.FAILED], "lost")
        assert rig.count("disconnects") == 1
        assert rig.count("planned_disconnects") == 0

    run(scenario())


@pytest.mark.parametrize("expiry", ["0s", "60s"])
def test_only_a_session_that_was_not_kept_is_subscribed_again(rigs: Rigs, run: Run, expiry: str) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            session = {"clean_start": False, "expiry": expiry}
            group = {"subscribe": SUBSCRIBE, "session": session, **COMES_AND_GOES}
            async with rigs.rig(rigs.plan(broker.port, {"g": group}, {"steady": "2s"})) as rig:
                await rig.connect()
                await rig.hold("steady", drain=False)
                await until(lambda: len(broker.connects) == 2 and rig.phases() == [Phase.READY], "back")
                assert len(broker.subscribes) == (2 if expiry == "0s" else 1)
        assert rig.count("sessions_lost") == 0

    run(scenario())


def test_who_only_stays_alive_pings_and_costs_nothing_else(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            async with rigs.rig(rigs.plan(broker.port, {"idle": {"clients": 2, "keep_alive": "1s"}})) as rig:
                await rig.connect()
                await rig.hold("steady", drain=False)
                await until(lambda: broker.pings >= 4, "pings")
                assert rig.phases() == [Phase.READY] * 2
            assert not broker.publishes
            assert not broker.subscribes
        assert rig.count("published") == rig.count("received") == rig.count("disconnects") == 0
        assert rig.fleet.ledger() == ({}, {})

    run(scenario())
