"""The text of rabbitmq.conf: what all nodes share (a file of this package) and what is one node's own."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.broker.auth import Auth
    from loadgen.broker.state import NodeState, QueueType

MANAGEMENT_USER = "loadgen"
_LOGIN = "ssl_cert_login_from = common_name\n"


def common_conf() -> str:
    """Give the settings that the local cluster and docker-compose.yml have in common."""
    return (resources.files("loadgen.broker") / "conf" / "common.conf").read_text()


def enabled_plugins() -> str:
    """Give the content of RabbitMQ's enabled_plugins file."""
    return (resources.files("loadgen.broker") / "conf" / "enabled_plugins").read_text()


def node_conf(
    node: NodeState,
    peers: Sequence[NodeState],
    inside: str,
    password: str,
    auth: Auth,
    *,
    queue_type: QueueType = "classic",
) -> str:
    """Compose a local node's whole rabbitmq.conf.

    Args:
        node: The node.
        peers: Every node of the cluster, this one included.
        inside: The cluster's folder as the node sees it.
        password: Of the management user; it counts only when the database is made.
        auth: What in a certificate becomes user name and client id.
        queue_type: What the queues of kept sessions are.
    """
    common = common_conf()
    assert _LOGIN in common
    common = common.replace(_LOGIN, "\n".join(auth.conf()) + "\n")
    # Three nodes share one machine: 0.2 of its memory each leaves room for the generator.
    own = [
        f"# {node.full_name} of loadgen's local cluster; written by `loadgen cluster up`.",
        f"mqtt.listeners.ssl.default = {node.address}:{node.mqtt_port}",
        f"management.tcp.ip = {node.address}",
        f"management.tcp.port = {node.management_port}",
        f"ssl_options.cacertfile = {inside}/tls/ca_certificate.pem",
        f"ssl_options.certfile = {inside}/tls/server_certificate.pem",
        f"ssl_options.keyfile = {inside}/tls/server_key.pem",
        f"default_user = {MANAGEMENT_USER}",
        f"default_pass = {password}",
        "default_user_tags.administrator = true",
        f"vm_memory_high_watermark.relative = {min(0.6, round(0.6 / len(peers), 2))}",
        "cluster_formation.peer_discovery_backend = classic_config",
        f"cluster_formation.target_cluster_size_hint = {len(peers)}",
        *(
            f"cluster_formation.classic_config.nodes.{number} = {peer.full_name}"
            for number, peer in enumerate(peers, start=1)
        ),
    ]
    if queue_type != "classic":
        own.append(f"mqtt.durable_queue_type = {queue_type}")
    return f"{common}\n" + "\n".join(own) + "\n"
