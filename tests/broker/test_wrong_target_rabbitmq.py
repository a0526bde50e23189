"""What `loadgen run` and `doctor` say when a real RabbitMQ refuses its clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from loadgen.cli import call
from loadgen.identity.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.broker.cluster import LocalCluster

pytestmark = pytest.mark.rabbitmq

SCENARIO = """\
name: refused
target:
  uris: {uris}
  tls: {{ca: {ca}}}
identities:
  strangers: {{issue: {{count: 3, common_name: "stranger{{index}}", out: {out}}}}}
groups:
  some: {{clients: 3, identity: strangers, publish: {{topic: t, qos: 0, rate: 1/s}}}}
stages:
  - {{name: connect, connect: 10/s}}
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(cluster: LocalCluster, out: Path) -> None:
    nodes = [f"mqtts://{node.address}:{node.mqtt_port}" for node in cluster.status()]
    text = SCENARIO.format(uris=json.dumps(nodes), ca=cluster.certs / "ca_certificate.pem", out=out)
    with open("s.yaml", "w", encoding="utf-8") as file:  # noqa: PTH123 - the working directory is the test's
        file.write(text)


def test_users_that_are_not_there(rabbitmq_cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    write(rabbitmq_cluster, rabbitmq_cluster.certs)
    assert call(["run", "s.yaml"]) == 106
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    # Each node was asked by a client of its own, and all have one cause.
    assert all(f"{node.address}:{node.mqtt_port}" in error for node in rabbitmq_cluster.status())
    assert "refuses client 'stranger0' with 0x86 (bad user name or password)" in error
    assert "run `loadgen provision s.yaml`" in error

    with_management = ["s.yaml", "--target", str(rabbitmq_cluster.target_file)]
    assert call(["doctor", *with_management]) == 106
    assert "3 of 3 users are missing" in capsys.readouterr().out
    assert call(["run", *with_management]) == 106
    assert f"run `loadgen provision {' '.join(with_management)}`" in capsys.readouterr().err
    assert call(["provision", *with_management]) == 0
    try:
        assert call(["doctor", *with_management]) == 0
        told = capsys.readouterr().out
        assert "all 3 are there" in told
        assert told.count("as MQTT 5 client") == 3
    finally:
        call(["deprovision", *with_management])


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_certificates_of_a_ca_the_broker_does_not_know(
    rabbitmq_cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    Authority.ensure(tmp_path / "foreign")
    write(rabbitmq_cluster, tmp_path / "foreign")
    assert call(["run", "s.yaml", "--set", f'target.tls.versions=["{version}"]']) == 106
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "refuses the certificate of client 'stranger0'" in error
