"""Real RabbitMQ clusters for tests: started once per session, ended with it.

A test that needs one asks for `rabbitmq_cluster`, or calls `rabbitmq_factory("4.0")`. Where none can run
it is skipped with the reason; with `LOADGEN_REQUIRE_RABBITMQ=1` that is a failure, so that CI cannot
pass by skipping.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from loadgen.broker.cluster import MANAGEMENT_PORT, MQTT_PORT, LocalCluster
from loadgen.broker.install import find_rabbitmq, why_root_cannot_run
from loadgen.broker.ports import problem_with
from loadgen.errors import BrokerError
from tests.erlang import evaluate
from tests.unavailable import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.install import RabbitInstall
    from tests.sharing import ClustersApart


ROOT = Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClustersApart:  # noqa: ANN401 - untyped
    """With `pytest -n 3`, real clusters are started in two processes only."""
    from tests.sharing import ClustersApart  # noqa: PLC0415 - needs xdist, which not everybody has

    return ClustersApart(config, log)


@pytest.fixture(autouse=True)
def _no_full_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fleet begins with a full collection, which in the heap of all these tests takes long."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


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
    """The usual ports, or the next pair that is free on all three addresses; others in each test process."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for offset in range(300 * process + step, 300 * process + 200):
        mqtt, management = MQTT_PORT + offset, MANAGEMENT_PORT + offset
        taken = [problem_with(f"127.0.0.{n}", port) for n in (1, 2, 3) for port in (mqtt, management)]
        if not any(taken):
            return mqtt, management
    raise AssertionError("no free ports for a cluster")


def cluster_command(*arguments: str) -> None:
    """Run `loadgen cluster` as a process of its own, which the nodes outlive."""
    command = [sys.executable, "-m", "loadgen", "cluster", *arguments]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def report_connections_each_second(cluster: LocalCluster) -> None:
    """Let nodes tell the management API of connections each second, not every five: runs wait for that."""
    for number, name in enumerate(("rabbit1", "rabbit2", "rabbit3")):
        conf = cluster.directory / name / "rabbitmq.conf"  # for when a test starts the node again
        text = conf.read_text(encoding="utf-8")
        conf.write_text(
            re.sub(r"(?m)^(collect_statistics_interval) = .*", r"\1 = 1000", text), encoding="utf-8"
        )
        evaluate(cluster, "application:set_env(rabbit, collect_statistics_interval, 1000)", number)


@pytest.fixture(scope="session")
def rabbitmq_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitFactory]:
    """Three nodes of a release; the same cluster for every test of the session."""
    clusters: dict[str, LocalCluster] = {}
    certs = tmp_path_factory.mktemp("certs")

    def start(release: str) -> LocalCluster:
        if release not in clusters:
            install_of(release)
            mqtt_port, management_port = free_ports(len(clusters))
            clusters[release] = cluster = LocalCluster(
                tmp_path_factory.mktemp(f"rabbitmq-{release}") / "cluster"
            )
            where = ["--directory", str(cluster.directory), "--certs", str(certs), "--release", release]
            ports = ["--mqtt-port", str(mqtt_port), "--management-port", str(management_port)]
            cluster_command("up", *where, *ports)
            report_connections_each_second(cluster)
        return clusters[release]

    yield start
    for cluster in clusters.values():
        cluster_command("down", "--purge", "--directory", str(cluster.directory))


@pytest.fixture(scope="session")
def rabbitmq_cluster(rabbitmq_factory: RabbitFactory) -> LocalCluster:
    """Three RabbitMQ 4.3 nodes on 127.0.0.1 to .3, port 8883 unless it is taken.

    `cluster.certs` is the CA folder whose clients the nodes accept.
    """
    return rabbitmq_factory("4.3")
