"""Real RabbitMQ clusters for tests: started once per session, ended with it.

A test that needs one asks for `rabbitmq_cluster`, or calls `rabbitmq_factory("4.0")`. Where none can run
it is skipped with the reason; with `LOADGEN_REQUIRE_RABBITMQ=1` that is a failure, so that CI cannot
pass by skipping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from loadgen.broker.cluster import MANAGEMENT_PORT, MQTT_PORT, LocalCluster
from loadgen.broker.install import find_rabbitmq, why_root_cannot_run
from loadgen.broker.ports import problem_with
from loadgen.errors import BrokerError
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.install import RabbitInstall


class RabbitFactory(Protocol):
    def __call__(self, release: str) -> LocalCluster: ...


def install_of(release: str) -> RabbitInstall:
    try:
        install = find_rabbitmq(release)
    except BrokerError as error:
        unavailable(f"no real RabbitMQ {release} here: {error}")
    reason = why_root_cannot_run() if install.root else None
    if reason:
        unavailable(f"RabbitMQ {release} is installed but cannot run here: {reason}")
    return install


def free_ports(step: int) -> tuple[int, int]:
    """The usual ports, or the next pair that is free on all three addresses."""
    for offset in range(step, 200):
        mqtt, management = MQTT_PORT + offset, MANAGEMENT_PORT + offset
        taken = [problem_with(f"127.0.0.{n}", port) for n in (1, 2, 3) for port in (mqtt, management)]
        if not any(taken):
            return mqtt, management
    raise AssertionError("no free ports for a cluster")


@pytest.fixture(scope="session")
def rabbitmq_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitFactory]:
    """Three nodes of a release; the same cluster for every test of the session."""
    clusters: dict[str, LocalCluster] = {}
    certs = tmp_path_factory.mktemp("certs")

    def start(release: str) -> LocalCluster:
        if release not in clusters:
            install = install_of(release)
            mqtt_port, management_port = free_ports(len(clusters))
            cluster = LocalCluster(tmp_path_factory.mktemp(f"rabbitmq-{release}") / "cluster")
            cluster.up(3, certs=certs, install=install, mqtt_port=mqtt_port, management_port=management_port)
            clusters[release] = cluster
        return clusters[release]

    yield start
    for cluster in clusters.values():
        cluster.down(purge=True)


@pytest.fixture(scope="session")
def rabbitmq_cluster(rabbitmq_factory: RabbitFactory) -> LocalCluster:
    """Three RabbitMQ 4.3 nodes on 127.0.0.1 to .3, port 8883 unless it is taken.

    `cluster.certs` is the CA folder whose clients the nodes accept.
    """
    return rabbitmq_factory("4.3")
