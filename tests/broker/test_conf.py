from __future__ import annotations

import re
from pathlib import Path

import yaml

from loadgen.broker.auth import Auth
from loadgen.broker.conf import common_conf, enabled_plugins, node_conf
from loadgen.broker.state import NodeState

REPOSITORY = Path(__file__).parents[2]


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    pairs = [(key.strip(), value.strip()) for key, _, value in (line.partition("=") for line in lines)]
    assert len(pairs) == len(dict(pairs)), "a key is set twice"
    return dict(pairs)


def local() -> dict[str, str]:
    nodes = [NodeState(f"rabbit{n}", f"127.0.0.{n}", 8883, 15672, 0) for n in (1, 2, 3)]
    return settings(node_conf(nodes[1], nodes, "/srv/loadgen", "pass-word", Auth()))


def test_a_node_listens_on_its_own_address_with_mutual_tls_and_nothing_else() -> None:
    conf = local()
    assert conf["mqtt.listeners.ssl.default"] == "127.0.0.2:8883"
    assert conf["management.tcp.ip"] == "127.0.0.2"
    assert conf["listeners.tcp"] == conf["mqtt.listeners.tcp"] == "none"
    assert conf["ssl_options.verify"] == "verify_peer"
    assert conf["ssl_options.fail_if_no_peer_cert"] == "true"


def test_only_a_certificate_lets_a_client_in() -> None:
    conf = local()
    assert conf["mqtt.allow_anonymous"] == "false"
    assert conf["anonymous_login_user"] == "none"
    assert conf["mqtt.ssl_cert_login"] == "true"
    assert conf["ssl_cert_login_from"] == "common_name"


def test_the_default_list_of_socket_options_is_replaced_as_a_whole() -> None:
    options = {key.rpartition(".")[2] for key in local() if key.startswith("mqtt.tcp_listen_options.")}
    assert options == {"backlog", "nodelay", "send_timeout", "send_timeout_close"}


def test_a_node_knows_all_its_peers() -> None:
    conf = local()
    peers = {value for key, value in conf.items() if ".classic_config.nodes." in key}
    assert peers == {"rabbit1@localhost", "rabbit2@localhost", "rabbit3@localhost"}
    assert conf["cluster_formation.target_cluster_size_hint"] == "3"


def test_compose_nodes_differ_from_local_nodes_in_places_only() -> None:
    compose = settings(common_conf() + (REPOSITORY / "docker/compose.conf").read_text())
    conf = local()
    assert set(conf) - set(compose) == {
        "management.tcp.ip",
        "default_user",
        "default_pass",
        "default_user_tags.administrator",
    }
    assert set(compose) <= set(conf)


def test_compose_uses_the_same_files_and_publishes_every_node() -> None:
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    nodes = {name: one for name, one in compose["services"].items() if name != "certs"}
    assert len(nodes) == 3
    published = set()
    for name, node in nodes.items():
        assert node["hostname"] == name
        assert f"rabbit@{name}" in (REPOSITORY / "docker/compose.conf").read_text()
        assert node["image"] == "${RABBITMQ_IMAGE:-rabbitmq:4-management}"
        for volume in node["volumes"]:
            source, target, *_ = volume.split(":")
            assert not source.startswith("./") or (REPOSITORY / source).is_file(), volume
            assert target.startswith(("/etc/rabbitmq/", "/certs"))
        published |= {re.sub(r"^.*?}:", "", port) for port in node["ports"]}
    assert published == {f"{8882 + n}:8883" for n in (1, 2, 3)} | {f"{15671 + n}:15672" for n in (1, 2, 3)}


def test_the_compose_target_names_the_published_ports() -> None:
    target = yaml.safe_load((REPOSITORY / "docker/target.yaml").read_text())
    assert target["uris"] == [f"mqtts://127.0.0.1:{port}" for port in (8883, 8884, 8885)]
    assert target["management"]["password"] == {"env": "RABBITMQ_PASSWORD"}
    compose = yaml.safe_load((REPOSITORY / target["control"]["compose"]).read_text())
    assert [name for name in compose["services"] if "ports" in compose["services"][name]] == target[
        "control"
    ]["services"]


def test_the_plugins_are_those_the_run_needs() -> None:
    assert enabled_plugins().strip() == "[rabbitmq_management,rabbitmq_mqtt]."


def test_kept_sessions_may_have_quorum_queues() -> None:
    node = NodeState("rabbit1", "127.0.0.1", 8883, 15672, 0)
    conf = settings(node_conf(node, [node], "/srv/loadgen", "pass-word", Auth(), queue_type="quorum"))
    assert conf["mqtt.durable_queue_type"] == "quorum"
    assert "mqtt.durable_queue_type" not in local()
