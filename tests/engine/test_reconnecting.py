"""The reconnect policy: which node next, after how long, with which session, and what is sent again."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.node_order import next_place
from loadgen.engine.phase import Phase
from tests.engine.rig import PUBLISH, QUICK, SUBSCRIBE, Rig, until

if TYPE_CHECKING:
    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

KEPT: dict[str, Any] = {"clean_start": False, "expiry": "10m"}


def walk(order: str | None, nodes: tuple[int, ...], place: int, steps: int, chance: int = 5) -> list[int]:
    visited = []
    for attempts in range(steps):
        place = next_place(nodes, place, order, attempts, chance + (attempts << 44))
        visited.append(nodes[place])
    return visited


def test_the_orders_of_nodes() -> None:
    nodes = (1, 2, 0)
    assert walk(None, nodes, 0, 4) == [2, 0, 1, 2], "as the plan lists them"
    assert walk("round-robin", (2, 0, 1), 0, 4) == [0, 1, 2, 0], "by number"
    assert walk("in-order", nodes, 1, 4) == [0, 1, 2, 0], "from the first one on, wherever it was"
    assert walk("stick", nodes, 1, 3) == [2, 2, 2]


@given(st.permutations(range(4)), st.integers(0, 3), st.integers(0, 2**80))
def test_a_random_node_is_another_one_and_repeatable(nodes: list[int], place: int, chance: int) -> None:
    chosen = next_place(tuple(nodes), place, "random", 0, chance)
    assert chosen != place
    assert chosen == next_place(tuple(nodes), place, "random", 0, chance)


def test_random_nodes_are_all_used() -> None:
    assert set(walk("random", (0, 1, 2), 0, 30)) == {0, 1, 2}


@pytest.mark.parametrize("order", [None, "round-robin", "random", "in-order", "stick"])
def test_a_single_node_stays_the_only_one(order: str | None) -> None:
    assert walk(order, (0,), 0, 3) == [0, 0, 0]


async def back(rig: Rig) -> None:
    await until(lambda: bool(rig.of("lost")), "lost")
    await until(lambda: rig.phases()[0] is Phase.READY, "ready again")


def test_without_resuming_every_reconnect_is_a_clean_start(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda n, _: None if n < 2 else 0) as broker:
            reconnect = {**QUICK, "resume": False}
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": reconnect}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                client = rig.clients[0]
                for _ in range(2):
                    client.publish(client.streams[0], monotonic_ns())
                await broker.until(lambda: len(broker.publishes) == 2)
                broker.break_connections()
                await back(rig)
                assert [each.clean_start for each in broker.connects] == [False, True]
                assert [each.session_expiry_interval for each in broker.connects] == [600, 600]
                assert len(broker.subscribes) == 2
                assert client.log is not None
                assert client.log.absent, "it asked for no session: nothing was promised"
                assert rig.fleet.progress()["inflight"] == 0
        assert (rig.count("abandoned"), rig.count("republished")) == (2, 0)
        assert not broker.errors

    run(scenario())


def test_without_sending_again_what_was_under_way_is_abandoned_at_the_loss(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker(puback=lambda n, _: None if n < 2 else 0) as broker:
            reconnect = {**QUICK, "resend": False}
            group = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "session": KEPT, "reconnect": reconnect}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                client = rig.clients[0]
                for _ in range(2):
                    client.publish(client.streams[0], monotonic_ns())
                await broker.until(lambda: len(broker.publishes) == 2)
                broker.break_connections()
                await until(lambda: bool(rig.of("lost")))
                assert rig.fleet.progress()["inflight"] == 0
                await back(rig)
                client.publish(client.streams[0], monotonic_ns())
                await until(lambda: client.streams[0].log.acknowledged == 1)
                assert len(broker.publishes) == 3, "none of the first two came again"
        assert (rig.count("abandoned"), rig.count("republished"), rig.count("unanswered")) == (2, 0, 2)

    run(scenario())


def test_no_back_off_and_no_jitter_make_a_storm(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            group = {"clients": 5, "reconnect": {"backoff": "0s", "jitter": "none"}}
            async with rigs.rig(rigs.plan(broker.port, {"g": group})) as rig:
                await rig.connect()
                broker.break_connections()
                await until(lambda: len(rig.of("lost")) == 5)
                await until(lambda: set(rig.phases()) == {Phase.READY})
        outages = rig.book.outages
        assert [each.waited for each in outages] == [0] * 5
        assert max(each.attempts[0].started - each.noticed for each in outages) < 1_000_000_000

    run(scenario())


def test_a_node_is_dialled_through_its_proxy_and_checked_by_its_own_name(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            # Nobody listens at the node's own address, which is not in the certificate either.
            plan = rigs.plan(1, {"g": {}}, tls={"ca": str(rigs.authority.certificate)})
            rig = Rig(plan.shard(0, 1, {0: ("127.0.0.1", broker.port)}))
            await rig.begin()
            try:
                await rig.connect()
                assert rig.phases() == [Phase.READY]
                assert rig.events[0]["node"] == "127.0.0.1:1"
            finally:
                await rig.fleet.stop()

    run(scenario())
