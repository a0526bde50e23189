"""docker-compose.yml, really brought up: three nodes in containers, one cluster, mutual TLS."""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.control import FaultOrder, open_control
from loadgen.broker.process import wait_until
from loadgen.broker.tool_nodes import speaks_tls
from loadgen.errors import BrokerError
from tests.broker.composed import COMPOSE
from tests.broker.faults_rig import Settings, Steps, TargetLike, Where
from tests.broker.witness import Witness
from tests.shipped import SHORT_SMOKE, run_shipped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.composed import Composed

pytestmark = pytest.mark.docker


def test_three_containers_are_one_cluster(compose_cluster: Composed) -> None:
    assert compose_cluster.members() == {"rabbit@rmq1", "rabbit@rmq2", "rabbit@rmq3"}


def test_a_certificate_gets_in_at_every_node_and_messages_cross(compose_cluster: Composed) -> None:
    names = [compose_cluster.identity(f"compose-{n}") for n in (1, 2, 3)]
    one, two, three = (
        Witness(uri, compose_cluster.ca, who) for uri, who in zip(compose_cluster.uris, names, strict=True)
    )
    with one, two, three:
        assert [one.reason, two.reason, three.reason] == [0, 0, 0]
        three.paho.subscribe("compose/+", qos=1)
        assert three.subscribed.wait(10)
        one.publish_until_found("compose/a", b"one")
        two.publish_until_found("compose/a", b"two")
        assert wait_until(lambda: len(three.messages) == 2, 10, 0.02)
        assert sorted(three.messages) == [b"one", b"two"]


def test_a_run_against_the_containers_passes(compose_cluster: Composed, tmp_path: Path) -> None:
    target = compose_cluster.write_target(tmp_path / "target.yaml")
    result = run_shipped(
        tmp_path,
        "rabbitmq-smoke.yaml",
        *SHORT_SMOKE,
        target=target,
        certs=compose_cluster.certs,
    )
    assert result["totals"]["connected"] == 300
    assert result["ledger"]["lost"] == 0
    assert sorted(result["broker"]["view"]["by_node"].values()) == [100, 100, 100]


def test_the_key_on_the_host_stays_private(compose_cluster: Composed) -> None:
    assert (compose_cluster.certs / "server_rabbitmq_key.pem").stat().st_mode & 0o777 == 0o600
    inside = compose_cluster.compose("exec", "-T", "rmq1", "ls", "-l", "/certs")
    assert "-r-------- 1 rabbitmq" in inside
    assert "ca_key.pem" not in inside


@pytest.fixture(scope="module")
def control_target(compose_cluster: Composed) -> TargetLike:
    services = ("rmq1", "rmq2", "rmq3")
    settings = Settings(compose=str(COMPOSE), project="loadgen-test", services=services)
    return TargetLike([Where.of(uri) for uri in compose_cluster.uris], settings)


@pytest.fixture
def told(compose_cluster: Composed, monkeypatch: pytest.MonkeyPatch) -> Steps:
    if host := compose_cluster.engine.environment.get("DOCKER_HOST"):
        monkeypatch.setenv("DOCKER_HOST", host)
    return Steps()


def test_containers_killed_and_stopped_stay_down_until_they_are_healed(
    compose_cluster: Composed, control_target: TargetLike, told: Steps
) -> None:
    kill, stop = FaultOrder("kill", ("rmq3",)), FaultOrder("stop", ("rmq2",))

    async def play() -> None:
        control = await open_control(control_target, None)
        began = monotonic_ns()
        with Witness(compose_cluster.uris[2], compose_cluster.ca, compose_cluster.identity("compose-k")):
            await control.inject(kill, told)
        assert began < told.at("killing", "rmq3") <= told.at("killed", "rmq3") < monotonic_ns()
        await control.inject(stop, told)
        assert wait_until(lambda: compose_cluster.members() == {"rabbit@rmq1"}, 60, 0.5)
        with pytest.raises(BrokerError, match="rmq3 is exited, not running"):
            await control.inject(kill, told)
        await asyncio.gather(control.heal(kill, told), control.heal(stop, told))

    asyncio.run(play())
    assert wait_until(lambda: len(compose_cluster.members()) == 3, 60, 0.5)


def test_a_container_is_paused_and_its_clients_hang(
    compose_cluster: Composed, control_target: TargetLike, told: Steps
) -> None:
    order = FaultOrder("pause", ("rmq2",))

    async def play() -> None:
        control = await open_control(control_target, None)
        await control.inject(order, told)
        try:
            assert not speaks_tls(Where.of(compose_cluster.uris[1]))
        finally:
            await control.heal(order, told)
        await control.heal(order, told)

    asyncio.run(play())
    assert [what for what, _ in told.words] == ["pausing", "paused", "resumed", "serving", "serving"]


def test_a_container_is_drained_and_revived(control_target: TargetLike, told: Steps) -> None:
    order = FaultOrder("drain", ("rmq1",))

    async def play() -> None:
        control = await open_control(control_target, None)
        await control.inject(order, told)
        try:
            assert not speaks_tls(control_target.uris[0])
        finally:
            await control.heal(order, told)
        assert await control.leader() in control.node_names()

    asyncio.run(play())
    assert [what for what, _ in told.words] == ["draining", "drained", "reviving", "revived", "serving"]


def test_a_container_taken_off_its_network_comes_back_to_it(
    compose_cluster: Composed, control_target: TargetLike, told: Steps
) -> None:
    order = FaultOrder("partition", ("rmq3",))

    async def play() -> None:
        control = await open_control(control_target, None)
        await control.inject(order, told)
        try:
            assert not speaks_tls(control_target.uris[2])
        finally:
            await control.heal(order, told)

    asyncio.run(play())
    assert [what for what, _ in told.words] == ["partitioning", "partitioned", "joined", "serving"]
    assert all(len(compose_cluster.members(node)) == 3 for node in range(3))


def test_a_service_without_a_container_is_named(control_target: TargetLike, told: Steps) -> None:
    missing = Settings(compose=str(COMPOSE), project="loadgen-test", services=("rmq9",))
    with pytest.raises(BrokerError, match="service rmq9 of project loadgen-test has 0 containers"):
        asyncio.run(open_control(TargetLike(control_target.uris[:1], missing), None))
