"""Every kind of fault, done to real nodes, and what clients see of it."""

from __future__ import annotations

import asyncio
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from loadgen.broker.control import FaultOrder
from loadgen.broker.packet_filter import PacketFilter
from loadgen.cli.cluster import app
from loadgen.errors import BrokerError
from tests.broker.faults_rig import Rig, Steps
from tests.broker.raw_client import Asked, Entrance, RawClient
from tests.erlang import evaluate

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster

pytestmark = pytest.mark.rabbitmq

KEPT = Asked(session_expiry=60, clean_start=False)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def rig(rabbitmq_cluster: LocalCluster) -> Rig:
    return Rig(rabbitmq_cluster)


def conditions(rig: Rig) -> list[str]:
    return [node.condition for node in rig.cluster.status()]


def rpc(rig: Rig, caller: int, called: int) -> str:
    """What a node (1 and on) gets when it asks another for its name."""
    return evaluate(rig.cluster, f"rpc:call('rabbit{called}@localhost', erlang, node, [], 2000)", caller - 1)


def test_two_nodes_killed_and_stopped_are_a_lost_majority_and_come_back_together(rig: Rig) -> None:
    kill, stop = FaultOrder("kill", ("rabbit2",)), FaultOrder("stop", ("rabbit3",))
    steps = Steps()

    async def play() -> None:
        control = await rig.control()
        try:
            with rig.connect("at-two", 1) as two, rig.connect("at-three", 2) as three:
                await control.inject(kill, steps)
                assert (two.until_end(), two.disconnect) == ("FIN", None)
                await control.inject(stop, steps)
                assert (three.until_end(), three.disconnect) == ("FIN", None)
            assert conditions(rig) == ["serving", "down", "down"]
            with pytest.raises(BrokerError, match="rabbit2 does not run"):
                await control.inject(kill, steps)
        finally:
            await asyncio.gather(control.heal(kill, steps), control.heal(stop, steps))
        assert conditions(rig) == ["serving"] * 3
        before = len(steps.told)
        await control.heal(kill, steps)
        assert steps.words[before:] == [("serving", "rabbit2")]

    asyncio.run(play())
    assert steps.words[:3] == [("killed", "rabbit2"), ("stopping", "rabbit3"), ("stopped", "rabbit3")]
    assert "SIGTERM received - shutting down" in (rig.cluster.directory / "rabbit3/node.log").read_text()
    assert steps.at("stopped", "rabbit3") - steps.at("stopping", "rabbit3") < 20 * SECOND


def test_a_paused_node_answers_nothing_and_goes_on_where_it_was(rig: Rig) -> None:
    order = FaultOrder("pause", ("rabbit2",))
    steps = Steps()

    async def play() -> None:
        control = await rig.control()
        with rig.connect("frozen", 1) as client:
            try:
                await control.inject(order, steps)
                assert client.publish("fault/frozen", wait=1) is None
                assert not client.ended
            finally:
                await control.heal(order, steps)
            assert client.publish("fault/frozen") == 0x10

    asyncio.run(play())
    assert steps.words == [("paused", "rabbit2"), ("resumed", "rabbit2"), ("serving", "rabbit2")]


def test_a_drained_node_sends_its_clients_away_and_refuses_new_ones(rig: Rig) -> None:
    order = FaultOrder("drain", ("rabbit2",))
    steps = Steps()

    async def play() -> None:
        control = await rig.control()
        with rig.connect("sent-away", 1, **KEPT) as client:
            client.subscribe(("fault/drained", 1))
            began = monotonic_ns()
            try:
                await control.inject(order, steps)
                ended = monotonic_ns()
                client.until_end()
                assert client.disconnect == 0x8B
                with pytest.raises(ConnectionRefusedError):
                    rig.connect("sent-away", 1)
                with rig.connect("sent-away", 0, **KEPT) as again:
                    assert (again.code, again.session_present) == (0, True)
            finally:
                await control.heal(order, steps)
                await control.heal(order, steps)
            assert began < steps.at("draining", "rabbit2") < steps.at("drained", "rabbit2") < ended
        with rig.connect("sent-away", 1) as back:
            assert back.code == 0

    asyncio.run(play())
    assert [what for what, _ in steps.words] == ["draining", "drained"] + [
        "reviving",
        "revived",
        "serving",
    ] * 2


def test_a_node_cut_off_from_the_others_keeps_its_clients_but_no_message_crosses(rig: Rig) -> None:
    order = FaultOrder("partition", ("rabbit3",))
    steps = Steps()

    async def play() -> None:
        control = await rig.control()
        with rig.connect("here", 0) as here, rig.connect("there", 2, rig.two) as there:
            there.subscribe(("fault/crossing", 1))
            assert here.publish_until_found("fault/crossing", b"before") == 0
            assert there.message() is not None
            try:
                await control.inject(order, steps)
                assert here.publish("fault/crossing", b"cut off", wait=2) is None
                assert there.message(wait=0.1) is None
                assert rpc(rig, 1, 2) == "rabbit2@localhost"
                assert rpc(rig, 1, 3) == "{badrpc,timeout}"
            finally:
                await control.heal(order, steps)
            assert rpc(rig, 1, 3) == "rabbit3@localhost"
            message = there.message(wait=30)
            assert message is not None
            assert message.payload == b"cut off"

    asyncio.run(play())
    assert steps.words[:2] == [("partitioned", "rabbit3"), ("joined", "rabbit3")]
    packets = PacketFilter.of_cluster(rig.cluster.directory)
    assert not packets.present()
    where = ["--directory", str(rig.cluster.directory)]
    assert CliRunner().invoke(app, ["partition", "rabbit2", *where]).exit_code == 0
    assert packets.present()
    asyncio.run(rig.control())  # the next run removes what is left of an earlier one
    assert not packets.present()
    assert CliRunner().invoke(app, ["join", *where]).exit_code == 0


def test_half_of_a_nodes_own_connections_are_closed_by_the_broker(rig: Rig) -> None:
    order = FaultOrder("reset", ("rabbit1",), share=0.5)
    steps = Steps()
    ours = [f"reset-{n}" for n in range(4)]

    async def play() -> None:
        clients = [rig.connect(name, 0) for name in ours]
        other, elsewhere = rig.connect("not-ours", 0), rig.connect("reset-elsewhere", 1)
        async with rig.management:
            control = await rig.control([*ours, "reset-elsewhere"])
            deadline = monotonic() + 20
            names: set[str] = set()
            while not {*ours, "not-ours", "reset-elsewhere"} <= names and monotonic() < deadline:
                await asyncio.sleep(0.25)
                names = {
                    str((row.get("client_properties") or {}).get("client_id"))
                    for row in await rig.management.connections()
                }
            await control.inject(order, steps)
        ended = [client.until_end(1) for client in clients]
        assert sorted(ended) == ["", "", "FIN", "FIN"]
        assert all(client.disconnect is None for client in clients)
        assert not other.until_end(0.1)
        assert not elsewhere.until_end(0.1)
        for client in [*clients, other, elsewhere]:
            client.socket.close()

    asyncio.run(play())
    assert steps.words == [("closing connections", "rabbit1"), ("closed 2 connections", "rabbit1")]


def test_a_node_becomes_slow_and_quick_again_for_connections_that_are_open(rig: Rig) -> None:
    order = FaultOrder("slow", ("rabbit2",), delay=100_000_000, jitter=20_000_000)
    steps = Steps()

    def took(client: RawClient) -> float:
        began = monotonic()
        assert client.publish("fault/slow") == 0x10
        return monotonic() - began

    async def play() -> None:
        control = await rig.control()
        proxies = await control.start_proxies(["rabbit2"])
        (host, port) = proxies[1]
        where = rig.uris[1]
        with RawClient.connect(
            Entrance(host, port, rig.cluster.ca, name=where.host), rig.one, "slow-client"
        ) as client:
            assert min(took(client) for _ in range(5)) < 0.05
            await control.inject(order, steps)
            slow = [took(client) for _ in range(5)]
            await control.heal(order, steps)
            assert min(slow) > 0.155
            assert min(took(client) for _ in range(5)) < 0.05
        await control.close()

    asyncio.run(play())
    assert steps.words == [("slow", "rabbit2"), ("at full speed", "rabbit2")]


def test_a_rolling_restart_goes_from_node_to_node(rig: Rig) -> None:
    order = FaultOrder(
        "rolling-restart", ("rabbit2", "rabbit3"), between=SECOND, graceful=False, maintenance=True
    )
    steps = Steps()

    async def play() -> None:
        control = await rig.control()
        with rig.connect("tour", 1) as two, rig.connect("tour-3", 2) as three:
            await control.inject(order, steps)
            two.until_end()
            three.until_end()
            assert (two.disconnect, three.disconnect) == (0x8B, 0x8B)
        await control.heal(order, steps)

    asyncio.run(play())
    tour = ["draining", "drained", "killed", "starting", "serving"]
    assert steps.words[:10] == [(what, node) for node in order.nodes for what in tour]
    pause = steps.at("draining", "rabbit3") - steps.told[4][2]
    assert pause > SECOND
    assert conditions(rig) == ["serving"] * 3


def test_the_leader_leads_the_sessions_quorum_queues(rig: Rig) -> None:
    paths = [f"/api/queues/%2F/mqtt-subscription-led-{n}qos1" for n in (1, 2)]

    async def play() -> None:
        async with rig.management as management:
            control = await rig.control()
            where = {"durable": True, "node": "rabbit2@localhost"}
            quorum = {**where, "arguments": {"x-queue-type": "quorum"}}
            try:
                for path in paths:
                    await management._request("PUT", path, body=quorum)
                leaders = {row["leader"] for row in await management.queues() if "-led-" in row["name"]}
                assert {f"{await control.leader()}@localhost"} == leaders
            finally:
                for path in paths:
                    await management._request("DELETE", path)

    asyncio.run(play())
