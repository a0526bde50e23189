"""Real RabbitMQ clusters for tests: started once per session, ended with it.

A test that needs one asks for `rabbitmq_cluster`, calls `rabbitmq_factory("4.0")`, or asks for
`compose_cluster`. Where none can run it is skipped with the reason; with `LOADGEN_REQUIRE_RABBITMQ=1` or
`LOADGEN_REQUIRE_DOCKER=1` that is a failure, so that CI cannot pass by skipping.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest

from loadgen.broker.cluster import MANAGEMENT_PORT, MQTT_PORT, LocalCluster
from loadgen.broker.install import find_rabbitmq, why_root_cannot_run
from loadgen.broker.ports import problem_with
from loadgen.broker.process import wait_until
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority
from tests.broker.composed import ADDRESS, Composed
from tests.broker.docker_engine import Engine, NoEngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.install import RabbitInstall


class RabbitFactory(Protocol):
    def __call__(self, release: str) -> LocalCluster: ...


def unavailable(reason: str, variable: str = "LOADGEN_REQUIRE_RABBITMQ") -> NoReturn:
    """Skip, or fail where skipping is forbidden."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


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


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """A container engine: the one that runs here, or a private one."""
    try:
        engine = Engine()
    except NoEngineError as error:
        unavailable(str(error), "LOADGEN_REQUIRE_DOCKER")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def compose_cluster(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The three nodes of docker-compose.yml, from the image `RABBITMQ_IMAGE` or one made of a root folder."""
    image = os.environ.get("RABBITMQ_IMAGE")
    if image is None:
        try:
            install = find_rabbitmq()
        except BrokerError as error:
            unavailable(f"no RABBITMQ_IMAGE is named, and {error}", "LOADGEN_REQUIRE_DOCKER")
        if install.root is None:
            reason = "no RABBITMQ_IMAGE is named, and there is no root folder to make an image of"
            unavailable(reason, "LOADGEN_REQUIRE_DOCKER")
        image = docker_engine.import_root(install)
    certs = tmp_path_factory.mktemp("compose-certs")
    Authority.ensure(certs).issue_server("rabbitmq", dns=["localhost"], ip=[ADDRESS])
    composed = Composed(docker_engine, image, certs)
    try:
        composed.compose("up", "-d")
        serving = wait_until(lambda: all(len(composed.members(node)) == 3 for node in range(3)), 180, 1)
        assert serving, composed.compose("logs", "--tail=30")
        yield composed
    finally:
        composed.compose("down", "-v", "-t", "5")
