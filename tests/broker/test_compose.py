"""docker-compose.yml, really brought up: three nodes in containers, one cluster, mutual TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.broker.ports import accepts
from loadgen.broker.process import wait_until
from tests.broker.composed import ADDRESS
from tests.broker.witness import Witness
from tests.shipped import run_shipped

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
        one.paho.publish("compose/a", b"one", qos=1).wait_for_publish(10)
        two.paho.publish("compose/a", b"two", qos=1).wait_for_publish(10)
        assert wait_until(lambda: len(three.messages) == 2, 10, 0.02)
        assert sorted(three.messages) == [b"one", b"two"]


def test_a_run_against_the_containers_passes(compose_cluster: Composed, tmp_path: Path) -> None:
    target = compose_cluster.write_target(tmp_path / "target.yaml")
    result = run_shipped(
        tmp_path,
        "rabbitmq-smoke.yaml",
        *("--set", "stages.steady.hold=6s"),
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


def test_a_killed_node_stays_down_until_it_is_started(compose_cluster: Composed) -> None:
    compose_cluster.compose("kill", "rmq3")
    assert wait_until(lambda: compose_cluster.members() == {"rabbit@rmq1", "rabbit@rmq2"}, 60, 0.5)
    compose_cluster.compose("start", "rmq3")
    assert wait_until(lambda: len(compose_cluster.members(2)) == 3 and accepts(ADDRESS, 8885), 90, 0.5)
