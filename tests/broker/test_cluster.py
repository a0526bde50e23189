"""The local cluster with real RabbitMQ nodes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from loadgen.broker.cluster import LocalCluster
from loadgen.broker.process import processes_of, wait_until
from loadgen.errors import BrokerError
from loadgen.identity.authority import Authority, ClientRequest
from tests.broker.witness import Witness, add_user, call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.broker.install import RabbitInstall
    from loadgen.identity.identity import Identity
    from tests.conftest import RabbitFactory

pytestmark = pytest.mark.rabbitmq


def management(cluster: LocalCluster, path: str, body: object = None, node: int = 0) -> Any:  # noqa: ANN401 - JSON
    return call(cluster.management_uris[node], cluster.password_file.read_text(), path, body)


def identity(cluster: LocalCluster, name: str, *, user: bool = True) -> Identity:
    (issued,) = Authority.ensure(cluster.certs).issue_clients([ClientRequest(name)])
    if user:
        add_user(cluster.management_uris[0], cluster.password_file.read_text(), name)
    return issued


def all_serve(cluster: LocalCluster) -> bool:
    return all(node.condition == "serving" for node in cluster.status())


@pytest.mark.parametrize("release", ["4.3", "4.0"])
def test_three_nodes_of_a_release_are_one_cluster(rabbitmq_factory: RabbitFactory, release: str) -> None:
    cluster = rabbitmq_factory(release)
    assert all(node.version.startswith(release) for node in cluster.status())
    assert [node.name for node in cluster.status()] == [f"rabbit{n}@localhost" for n in (1, 2, 3)]
    assert all_serve(cluster)
    for node in range(3):
        members = management(cluster, "/api/nodes?columns=name,running", node=node)
        assert {one["name"] for one in members if one["running"]} == set(cluster.node_names)
    assert management(cluster, "/api/overview")["rabbitmq_version"].startswith(release)


@pytest.mark.parametrize("release", ["4.3", "4.0"])
def test_a_message_crosses_nodes_and_the_user_is_the_common_name(
    rabbitmq_factory: RabbitFactory, release: str
) -> None:
    cluster = rabbitmq_factory(release)
    one, two = identity(cluster, "crossing-one"), identity(cluster, "crossing-two")
    with (
        Witness(cluster.uris[0], cluster.ca, one) as sender,
        Witness(cluster.uris[2], cluster.ca, two) as receiver,
    ):
        assert (sender.reason, receiver.reason) == (0, 0)
        receiver.paho.subscribe("crossing/+", qos=1)
        assert receiver.subscribed.wait(10)
        sender.publish_until_found("crossing/a", b"over")
        assert receiver.received.wait(10)
        assert receiver.messages == [b"over"]

        def listed() -> dict[str, Any]:
            rows = management(cluster, "/api/connections")
            return {row["user"]: row for row in rows if str(row.get("user", "")).startswith("crossing")}

        assert wait_until(lambda: len(listed()) == 2, 15, 0.2)  # the API is told after a while
        seen = listed()
    assert seen["crossing-one"]["node"] == "rabbit1@localhost"
    assert seen["crossing-two"]["node"] == "rabbit3@localhost"
    assert all(row["ssl"] and row["protocol"] == "MQTT 5-0" for row in seen.values())
    assert seen["crossing-one"]["peer_cert_subject"] == one.subject_rabbitmq


def test_a_client_without_a_user_is_refused(rabbitmq_cluster: LocalCluster) -> None:
    stranger = identity(rabbitmq_cluster, "nobody-i-know", user=False)
    with Witness(rabbitmq_cluster.uris[1], rabbitmq_cluster.ca, stranger) as client:
        assert client.reason == 0x86  # bad user name or password


def test_a_client_without_a_certificate_does_not_get_in(rabbitmq_cluster: LocalCluster) -> None:
    context = ssl.create_default_context(cafile=str(rabbitmq_cluster.ca))
    place = urlsplit(rabbitmq_cluster.uris[0])
    with (
        socket.create_connection((place.hostname, place.port), timeout=10) as raw,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
        context.wrap_socket(raw, server_hostname=place.hostname) as wrapped,
    ):
        wrapped.recv(1)  # TLS 1.3 tells only with the first record after the handshake


def test_a_node_can_be_killed_and_paused_and_comes_back(rabbitmq_cluster: LocalCluster) -> None:
    cluster = rabbitmq_cluster
    first = cluster.pid("rabbit2")
    cluster.kill("rabbit2")
    assert [node.condition for node in cluster.status()] == ["serving", "down", "serving"]
    with pytest.raises(BrokerError, match="rabbit2 does not run"):
        cluster.kill("rabbit2")
    cluster.start("rabbit2")
    assert cluster.pid("rabbit2") not in (None, first)

    cluster.pause("rabbit1@localhost")
    assert cluster.status()[0].condition == "paused"
    cluster.resume("rabbit1@localhost")
    assert wait_until(lambda: all_serve(cluster), 20, 0.1)


def test_the_cluster_is_known_to_another_process(rabbitmq_cluster: LocalCluster) -> None:
    code = "from loadgen.cli.cluster import app; app()"
    arguments = ["status", "--directory", str(rabbitmq_cluster.directory), "--output-format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stdout)
    assert [node["condition"] for node in facts["nodes"]] == ["serving"] * 3
    assert Path(facts["target_file"]).is_file()
    assert rabbitmq_cluster.password_file.read_text() not in done.stdout + done.stderr


def test_up_on_a_running_cluster_changes_nothing(rabbitmq_cluster: LocalCluster) -> None:
    before = rabbitmq_cluster.status()
    first = before[0]
    settings: dict[str, Any] = {"mqtt_port": first.mqtt_port, "management_port": first.management_port}
    again = rabbitmq_cluster.up(3, certs=rabbitmq_cluster.certs, install=rabbitmq_cluster.install, **settings)
    assert again == before
    with pytest.raises(BrokerError, match="holds 3 nodes"):
        rabbitmq_cluster.up(2, certs=rabbitmq_cluster.certs, install=rabbitmq_cluster.install, **settings)


def test_secrets_are_private_and_nothing_stays_mounted(rabbitmq_cluster: LocalCluster) -> None:
    folder = rabbitmq_cluster.directory
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in (".erlang.cookie", "management-password", "tls/server_key.pem", "rabbit1/rabbitmq.conf"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600, name
    command_lines = [Path(f"/proc/{p.pid}/cmdline").read_bytes() for p in processes_of(folder)]
    secrets = [(folder / name).read_bytes() for name in (".erlang.cookie", "management-password")]
    assert command_lines
    assert not any(secret in line for line in command_lines for secret in secrets)
    if rabbitmq_cluster.install.root:
        assert f"{rabbitmq_cluster.install.root}/srv" not in Path("/proc/mounts").read_text()


def test_rabbitmqctl_speaks_to_a_node(rabbitmq_cluster: LocalCluster) -> None:
    assert "rabbit3@localhost" in rabbitmq_cluster.rabbitmqctl("rabbit3", "eval", "node().")
    with pytest.raises(BrokerError, match="rabbitmqctl failed"):
        rabbitmq_cluster.rabbitmqctl("rabbit3", "no_such_command")


@pytest.fixture
def lone(rabbitmq_cluster: LocalCluster, tmp_path: Path) -> Iterator[tuple[LocalCluster, RabbitInstall]]:
    """A cluster of one node beside the session's, to be taken down."""
    cluster = LocalCluster(tmp_path / "lone")
    yield cluster, rabbitmq_cluster.install
    cluster.down(purge=True)


def bring_up(cluster: LocalCluster, install: RabbitInstall) -> None:
    cluster.up(1, certs=cluster.directory.parent, install=install, mqtt_port=8983, management_port=15983)


def test_a_cluster_comes_back_with_its_users_and_goes_without_a_trace(
    lone: tuple[LocalCluster, RabbitInstall],
) -> None:
    cluster, install = lone
    bring_up(cluster, install)
    identity(cluster, "survivor")
    assert cluster.down() == []
    assert processes_of(cluster.directory) == []
    assert [node.condition for node in cluster.status()] == ["down"]
    with pytest.raises(BrokerError, match="the cluster is down"):
        cluster.rabbitmqctl("rabbit1", "status")
    bring_up(cluster, install)
    assert "survivor" in {user["name"] for user in management(cluster, "/api/users")}
    # A paused node is no obstacle.
    cluster.pause("rabbit1")
    assert cluster.down(purge=True) == []
    assert not cluster.directory.exists()
    assert cluster.status() == []


def test_down_ends_nodes_whose_record_was_lost(lone: tuple[LocalCluster, RabbitInstall]) -> None:
    cluster, install = lone
    bring_up(cluster, install)
    (cluster.directory / "state.json").unlink()
    with pytest.raises(BrokerError, match="processes of an earlier cluster still run"):
        bring_up(cluster, install)
    assert cluster.down()
    assert processes_of(cluster.directory) == []


def test_a_node_that_cannot_start_tells_why_and_leaves_nothing(
    lone: tuple[LocalCluster, RabbitInstall], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, install = lone
    monkeypatch.setattr("loadgen.broker.launch.enabled_plugins", lambda: "[no_such_plugin].\n")
    monkeypatch.setattr("loadgen.broker.launch.node_conf", lambda *_, **__: "no.such.key = 1\n")
    with pytest.raises(BrokerError, match="rabbit1@localhost ended while starting"):
        bring_up(cluster, install)
    assert processes_of(cluster.directory) == []


def test_taken_ports_are_named_before_anything_starts(
    lone: tuple[LocalCluster, RabbitInstall],
) -> None:
    cluster, install = lone
    with socket.create_server(("127.0.0.1", 8983)), pytest.raises(BrokerError, match="8983 is in use"):
        bring_up(cluster, install)
    assert processes_of(cluster.directory) == []


@pytest.mark.skipif(
    os.environ.get("LOADGEN_TEST_INSTALL") != "1" or os.geteuid() != 0 or shutil.which("apt-get") is None,
    reason="downloads 100 MB: set LOADGEN_TEST_INSTALL=1 and run as root on a Debian machine",
)
@pytest.mark.parametrize("release", ["4.3", "4.0"])
def test_a_root_made_from_debians_packages_serves(tmp_path: Path, release: str) -> None:
    from loadgen.broker.install import install  # noqa: PLC0415 - only here is the name free

    cluster = LocalCluster(tmp_path / "cluster")
    made = install(release, tmp_path / "root")
    try:
        bring_up(cluster, made)
        assert all_serve(cluster)
        assert made.version.startswith(release)
    finally:
        cluster.down(purge=True)
