"""`loadgen cluster`: a real RabbitMQ cluster on this machine, from nothing to gone."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadgen.broker.auth import Auth, AuthKind
from loadgen.broker.cluster import (
    DEFAULT_CERTS,
    DEFAULT_DIRECTORY,
    MANAGEMENT_PORT,
    MAX_NODES,
    MQTT_PORT,
    LocalCluster,
    NodeStatus,
)
from loadgen.broker.install import SUITES, find_rabbitmq
from loadgen.broker.install import install as install_rabbitmq
from loadgen.broker.local_nodes import LocalNodes
from loadgen.broker.packet_filter import why_no_packet_filter
from loadgen.broker.state import QueueType  # noqa: TC001 - typer reads the annotation
from loadgen.cli.options import Format, OutputFormat, busy, write_json
from loadgen.errors import BrokerError, ExitCode
from loadgen.scenario.uri import parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rich.status import Status

app = typer.Typer(
    name="cluster",
    help="Run a real RabbitMQ cluster on this machine: install, bring up, look at, disturb, take down.",
    no_args_is_help=True,
)


_RELEASES = " or ".join(SUITES)
_Directory = Annotated[Path, typer.Option("--directory", help="Folder of the cluster: data, logs, state.")]
_Node = Annotated[str, typer.Argument(help="Name of a node, for example rabbit1.")]


@app.command()
def install(
    *,
    release: Annotated[
        str | None, typer.Option(help=f"RabbitMQ release: {_RELEASES}; the newest when left out.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder to make; a standard place when left out.")] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Debian mirror; the one this machine's apt uses when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it anew although it is there.")] = False,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Make a root folder with RabbitMQ out of Debian's packages (needs root; about a minute, 200 MB)."""
    with busy("making a root folder with RabbitMQ") as status:
        made = install_rabbitmq(release, root, mirror=mirror, force=force, report=_progress(status))
    if output_format is Format.JSON:
        write_json({"version": made.version, "root": str(made.root)})
        return
    typer.echo(f"RabbitMQ {made.version} in {made.root}")


@app.command()
def up(
    *,
    nodes: Annotated[int, typer.Option(help="How many nodes.", min=1, max=MAX_NODES)] = 3,
    release: Annotated[
        str | None,
        typer.Option(help="RabbitMQ release, for example 4.0; what PATH has, else the newest root."),
    ] = None,
    directory: _Directory = DEFAULT_DIRECTORY,
    certs: Annotated[Path, typer.Option(help="Folder of the CA, made if it isn't there.")] = DEFAULT_CERTS,
    mqtt_port: Annotated[int, typer.Option(help="MQTT over TLS, on every node's address.")] = MQTT_PORT,
    management_port: Annotated[int, typer.Option(help="Management API and page.")] = MANAGEMENT_PORT,
    scheduler_threads: Annotated[
        int | None, typer.Option(help="Erlang scheduler threads of each node.", min=1)
    ] = None,
    auth: Annotated[
        AuthKind | None,
        typer.Option(help="What in a certificate is the user name; as before, or else cn, when left out."),
    ] = None,
    verify_client_id: Annotated[
        bool,
        typer.Option("--verify-client-id", help="The client id must be that name too; with cn a DNS name."),
    ] = False,
    check_crl: Annotated[
        bool, typer.Option("--check-crl", help="Refuse certificates that the CA's CRL lists.")
    ] = False,
    queue_type: Annotated[
        QueueType | None,
        typer.Option(help="Queues of kept sessions; as before, or else classic, when left out."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until every node must serve.", min=1)] = 120.0,
    output_format: OutputFormat = Format.TEXT,
) -> None:
    """Start the nodes and wait until they are one cluster and listen.

    Node n listens on 127.0.0.n. A cluster that was taken down comes back with its users and queues.
    """
    found = find_rabbitmq(release)
    cluster = LocalCluster(directory)
    with busy(f"starting {nodes} nodes of RabbitMQ {found.version}"):
        statuses = cluster.up(
            nodes,
            certs=certs,
            install=found,
            mqtt_port=mqtt_port,
            management_port=management_port,
            scheduler_threads=scheduler_threads,
            auth=Auth(auth or "cn", verify_client_id, check_crl)
            if auth or verify_client_id or check_crl
            else None,
            queue_type=queue_type,
            deadline_s=timeout,
        )
    _show(cluster, statuses, output_format)


@app.command()
def status(*, directory: _Directory = DEFAULT_DIRECTORY, output_format: OutputFormat = Format.TEXT) -> None:
    """Show every node; exit code 106 unless all of them serve."""
    cluster = LocalCluster(directory)
    statuses = cluster.status()
    if not statuses:
        raise BrokerError(f"there is no cluster in {directory}", "`loadgen cluster up` starts one")
    _show(cluster, statuses, output_format)
    if any(node.condition != "serving" for node in statuses):
        raise typer.Exit(ExitCode.UNREACHABLE)


@app.command()
def down(
    *,
    directory: _Directory = DEFAULT_DIRECTORY,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove data, users, logs and the folder too.")
    ] = False,
) -> None:
    """End every process of the cluster; works as well when half of it is dead."""
    with busy("stopping the cluster"):
        killed = LocalCluster(directory).down(purge=purge)
    for name in killed:
        typer.echo(f"{name} had to be killed", err=True)


@app.command()
def start(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Start a node that is down, and wait until it serves."""
    with busy(f"starting {node}"):
        LocalCluster(directory).start(node)


@app.command()
def stop(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Stop a node in an orderly way, as a planned restart does."""
    with busy(f"stopping {node}"):
        LocalCluster(directory).stop(node)


@app.command()
def crl(*, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Give the nodes the CA's CRL as it is now, where they check it: after `loadgen certs revoke`."""
    for path in LocalCluster(directory).refresh_crls():
        typer.echo(str(path))


@app.command()
def kill(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Kill a node without warning, as a crash does."""
    LocalCluster(directory).kill(node)


@app.command()
def pause(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Freeze a node: connections stay open and nothing answers."""
    LocalCluster(directory).pause(node)


@app.command()
def resume(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Let a paused node go on."""
    LocalCluster(directory).resume(node)


@app.command()
def drain(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Put a node into maintenance mode: its clients get DISCONNECT 0x8B, and none is let in."""
    with busy(f"draining {node}"):
        _disturb(directory, node, lambda nodes, name: nodes.drain((name,), _unheard))


@app.command()
def revive(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Take a node out of maintenance mode, and wait until it serves."""
    with busy(f"reviving {node}"):
        _disturb(directory, node, lambda nodes, name: nodes.revive((name,), _unheard))


@app.command()
def partition(node: _Node, *, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Cut a node off from the other nodes, in place of any earlier cut; clients still reach both sides."""
    if reason := why_no_packet_filter():
        raise BrokerError(reason, "run as root with nftables installed")
    _disturb(directory, node, lambda nodes, name: nodes.partition((name,), _unheard))


@app.command()
def join(*, directory: _Directory = DEFAULT_DIRECTORY) -> None:
    """Undo `partition`, and wait until the nodes see one another."""
    with busy("joining the nodes"):
        _disturb(directory, "", lambda nodes, _: nodes.join((), _unheard))


def _disturb(
    directory: Path, name: str, act: Callable[[LocalNodes, str], Coroutine[object, object, None]]
) -> None:
    cluster = LocalCluster(directory)
    known = cluster.live_node(name).name if name else ""
    asyncio.run(act(LocalNodes(cluster, [parse_uri(uri) for uri in cluster.uris]), known))


def _unheard(_what: str, _node: str, _at: int) -> None:
    """Tell nobody of a step."""


def _show(cluster: LocalCluster, statuses: list[NodeStatus], output_format: Format) -> None:
    if output_format is Format.JSON:
        facts = {
            "nodes": [asdict(node) for node in statuses],
            "version": statuses[0].version,
            "target_file": str(cluster.target_file),
            "password_file": str(cluster.password_file),
            "certs": str(cluster.certs),
            "auth": cluster.auth.kind,
            "verify_client_id": cluster.auth.verify_client_id,
            "check_crl": cluster.auth.check_crl,
        }
        write_json(facts)
        return
    typer.echo(f"{'node':<20}{'condition':<11}{'process':<9}{'MQTT':<16}management")
    for node in statuses:
        mqtt = f"{node.address}:{node.mqtt_port}"
        management = f"http://{node.address}:{node.management_port}"
        typer.echo(f"{node.name:<20}{node.condition:<11}{node.pid or '-':<9}{mqtt:<16}{management}")
    typer.echo(
        f"RabbitMQ {statuses[0].version}; {cluster.auth}; management user {cluster.username}, password in"
    )
    typer.echo(f"  {cluster.password_file}")
    typer.echo(f"run against it: loadgen run SCENARIO --target {cluster.target_file}")


def _progress(status: Status) -> Callable[[str], None]:
    return lambda line: status.update(line[:100])
