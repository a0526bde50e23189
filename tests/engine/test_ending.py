"""The end of a run: the broker hears a proper goodbye, and the account is settled."""

from __future__ import annotations

import asyncio
import gc
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.engine.phase import Phase
from tests.engine.rig import PUBLISH, SUBSCRIBE, until

if TYPE_CHECKING:
    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

KEPT: dict[str, Any] = {"clean_start": False, "expiry": "10m"}


def test_a_clean_disconnect_ends_every_session_even_in_full_traffic(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            groups = {
                "pub": {"clients": 5, "publish": PUBLISH | {"rate": "200/s"}, "session": KEPT},
                "sub": {"clients": 10, "subscribe": SUBSCRIBE, "session": KEPT},
            }
            async with rigs.rig(rigs.plan(broker.port, groups, {"steady": "1h"})) as rig:
                await rig.connect()
                rig.fleet.start_stage("steady", "hold", monotonic_ns())
                await until(lambda: broker.deliveries > 500)
                assert len(broker.sessions) == 15
                # Deliveries are on their way to every subscriber now: a plain close would be a reset.
                await rig.fleet.stop()
                assert len(broker.disconnects) == 15
                assert {(int(d.reason_code), d.session_expiry_interval) for d in broker.disconnects} == {
                    (0, 0)
                }
                await broker.until(lambda: not broker.connections)
                assert not broker.sessions
                assert not broker.errors
            assert rig.phases() == [Phase.CLOSED] * 15
        assert rig.count("disconnects") == 0

    run(scenario())


def test_a_session_without_expiry_is_not_asked_to_have_one(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, {"g": {}})) as rig:
            await rig.connect()
            await rig.fleet.stop()
            assert [each.session_expiry_interval for each in broker.disconnects] == [None]

    run(scenario())


def test_what_still_waits_at_the_end_is_counted(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(connack={"receive_max": 1}, puback=lambda _n, _p: None) as broker:
            groups = {"pub": {"publish": PUBLISH}, "sub": {"subscribe": SUBSCRIBE}}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                client = rig.clients[0]
                (stream,) = client.streams
                for _ in range(4):
                    client.publish(stream, monotonic_ns())
                await rig.fleet.stop()
                assert (stream.log.sent, stream.log.not_attempted) == (1, 3)
                assert rig.fleet.progress()["backlog"] == 0
        assert (rig.count("published"), rig.count("dropped")) == (1, 3)

    run(scenario())


def test_stopping_before_and_while_connecting(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(silent=True) as broker:
            plan = rigs.plan(broker.port, {"sub": {"clients": 5, "subscribe": SUBSCRIBE}})
            async with rigs.rig(plan) as rig:
                rig.start_connect(rate=100.0)
                await broker.until(lambda: len(broker.connects) >= 1)
                await rig.fleet.stop()
                assert rig.phases() == [Phase.CLOSED] * 5
                accepted = broker.accepted
                await broker.until(lambda: not broker.connections)
                assert all(client.log is not None and client.log.absent for client in rig.clients)
                assert rig.fleet.context.connected_by_node.total() == 0
            assert broker.accepted == accepted

    run(scenario())


def test_stopping_in_any_moment_of_a_connect_ends(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            for turns in range(20):
                async with rigs.rig(rigs.plan(broker.port, {"g": {"clients": 2}})) as rig:
                    rig.start_connect()
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    await asyncio.wait_for(rig.fleet.stop(), 20)
                    assert rig.phases() == [Phase.CLOSED] * 2

    run(scenario())


def test_a_peer_that_never_closes_does_not_hold_up_the_end(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, {"g": {}})) as rig:
            await rig.connect()
            (peer,) = broker.connections
            assert peer._transport is not None
            peer._transport.pause_reading()
            begun = monotonic()
            await asyncio.wait_for(rig.fleet.stop(), 15)
            assert monotonic() - begun < 10

    run(scenario())


def test_stopping_twice_settles_once(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        before = gc.get_threshold()
        async with rigs.broker() as broker:
            groups = {"sub": {"subscribe": SUBSCRIBE}}
            async with rigs.rig(rigs.plan(broker.port, groups)) as rig:
                await rig.connect()
                assert gc.get_threshold() != before
                await rig.fleet.stop()
                reports = len(rig.snapshots)
                await rig.fleet.stop()
                assert len(rig.snapshots) == reports
                assert rig.clients[0].log is not None
                assert not rig.clients[0].log.absent, "it was there until the end"
                assert gc.get_threshold() == before, "the collector is as it was before the run"

    run(scenario())
