"""Starting one node of the local cluster: its files, its environment, its process."""

from __future__ import annotations

import secrets
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from loadgen.broker.conf import enabled_plugins, node_conf
from loadgen.broker.process import OWNER_VARIABLE, ProcessRef, start_detached
from loadgen.identity.crl_folder import write_crl_folder

if TYPE_CHECKING:
    from loadgen.broker.state import ClusterState, NodeState
    from loadgen.identity.authority import Authority

PASSWORD_FILE = "management-password"  # noqa: S105 - the name of a file
CRL_FOLDER = "crl"
"""Below `tls/`; read at each handshake, where CRLs are checked."""
_COOKIE_FILE = ".erlang.cookie"


def prepare_files(directory: Path, state: ClusterState, authority: Authority) -> None:
    """Write what the nodes read: certificates, cookie, plugins and one rabbitmq.conf each.

    Secrets that are already there stay, so that a cluster that is brought up again keeps its users.

    Args:
        directory: The cluster's folder; only its owner may look into it.
        state: The nodes to prepare for.
        authority: Who signs the nodes' certificate.
    """
    names = [node.name for node in state.nodes]
    certificate, key = authority.issue_server(
        "rabbitmq", dns=["localhost", *names], ip=[node.address for node in state.nodes]
    )
    tls = directory / "tls"
    tls.mkdir(exist_ok=True)
    _write(tls / "ca_certificate.pem", (authority.directory / "ca_certificate.pem").read_text())
    _write(tls / "server_certificate.pem", certificate.read_text())
    _write(tls / "server_key.pem", key.read_text())
    if state.auth.check_crl:
        write_crl_folder(authority.directory, tls / CRL_FOLDER)
    for secret in (PASSWORD_FILE, _COOKIE_FILE):
        if not (directory / secret).exists():
            _write(directory / secret, secrets.token_urlsafe(24))
    _write(directory / "enabled_plugins", enabled_plugins())
    password = (directory / PASSWORD_FILE).read_text().strip()
    inside = state.install.inside(directory)
    for node in state.nodes:
        (directory / node.name).mkdir(exist_ok=True)
        conf = node_conf(node, state.nodes, inside, password, state.auth, queue_type=state.queue_type)
        _write(directory / node.name / "rabbitmq.conf", conf)
        _write(directory / node.name / "advanced.config", state.auth.advanced_conf(f"{inside}/tls"))


def start_epmd(directory: Path, state: ClusterState) -> ProcessRef:
    """Start the name server of this cluster's nodes, on a port of its own so that clusters do not meet."""
    argv = state.install.command(
        directory, "epmd", "-port", str(state.epmd_port), "-address", "127.0.0.1", "-relaxed_command_check"
    )
    return start_detached(argv, _environment(directory, state), directory / "epmd.log")


def start_node(directory: Path, state: ClusterState, node: NodeState) -> ProcessRef:
    """Start a node; its process is the Erlang machine itself, so signals reach the broker."""
    here = f"{state.install.inside(directory)}/{node.name}"
    environment = _environment(directory, state) | {
        "RABBITMQ_NODENAME": node.full_name,
        "RABBITMQ_DIST_PORT": str(node.distribution_port),
        "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{here}/advanced.config",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{state.install.inside(directory)}/enabled_plugins",
        "RABBITMQ_MNESIA_BASE": f"{here}/data",
        "RABBITMQ_LOGS": f"{here}/node.log",
        "RABBITMQ_FEATURE_FLAGS_FILE": f"{here}/feature_flags",
        "RABBITMQ_PID_FILE": f"{here}/pid",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _erlang_arguments(state.scheduler_threads, node.link_address),
        "ERL_CRASH_DUMP": f"{here}/erl_crash.dump",
        "ERL_CRASH_DUMP_SECONDS": "0",
    }
    argv = state.install.command(directory, "rabbitmq-server")
    return start_detached(argv, environment, directory / node.name / "output.log")


def cli_command(
    directory: Path, state: ClusterState, node: NodeState, *arguments: str, tool: str = "rabbitmqctl"
) -> list[str]:
    """Build the command line of one of RabbitMQ's tools for a node; run it with `cli_environment`."""
    return state.install.command(directory, tool, "-n", node.full_name, *arguments)


def cli_environment(directory: Path, state: ClusterState) -> dict[str, str]:
    """Give the environment in which RabbitMQ's command line tools find this cluster."""
    # Commands of plugins, such as list_mqtt_connections, are found by the plugins that are enabled; Debian's
    # 4.0 does not find the plugins by itself.
    environment = _environment(directory, state)
    environment["RABBITMQ_ENABLED_PLUGINS_FILE"] = f"{state.install.inside(directory)}/enabled_plugins"
    plugins = PurePosixPath(state.install.scripts).parent / "plugins"
    if (Path(state.install.root or "/") / plugins.relative_to("/")).is_dir():
        environment["RABBITMQ_PLUGINS_DIR"] = str(plugins)
    return environment


def _environment(directory: Path, state: ClusterState) -> dict[str, str]:
    return state.install.environment() | {
        OWNER_VARIABLE: str(directory),
        "HOME": state.install.inside(directory),  # where Erlang looks for the cookie
        "ERL_EPMD_PORT": str(state.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def _erlang_arguments(threads: int, link_address: str) -> str:
    """Choose the Erlang machine's threads for several nodes on one machine.

    RabbitMQ binds scheduler threads to cores, each node beginning with the first core; nodes that share
    a machine would crowd there, so they stay unbound (`+stbt u`). The distribution port is bound to
    loopback: nobody else should talk to it. Each node calls the others from an address of its own, so that
    a packet filter can tell who talks to whom; the command line tools call from another one.
    """
    arguments = (
        f"+S {threads}:{threads} +SDcpu {threads}:{threads} +stbt u "
        "-kernel inet_dist_use_interface {127,0,0,1}"
    )
    if link_address:
        arguments += f" -kernel inet_dist_connect_options [{{ip,{{{link_address.replace('.', ',')}}}}}]"
    return arguments


def _write(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(content)
