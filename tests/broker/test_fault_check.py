"""Whether a target can have the faults of a scenario, said before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.broker.control import check_faults
from loadgen.broker.faults import KINDS, NEEDS_NODES
from loadgen.broker.install import RabbitInstall
from loadgen.broker.state import ClusterState, NodeState
from loadgen.scenario.target import Target
from tests.broker.faults_rig import Planned

if TYPE_CHECKING:
    from pathlib import Path

URIS = ["mqtts://127.0.0.1:8883", "mqtts://127.0.0.2:8883", "mqtts://127.0.0.3:8883"]
MANAGEMENT = {"uris": ["http://127.0.0.1:15672"], "username": "u", "password": {"env": "P"}}


def target(control: object = None, *, management: bool = True, uris: list[str] = URIS) -> Target:
    data = {"uris": uris, "control": control, "management": MANAGEMENT if management else None}
    return Target.model_validate(data)


def said(target: Target, *faults: Planned) -> str:
    return "\n".join(str(problem) for problem in check_faults(target, faults))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local cluster that is on record; nothing runs."""
    nodes = [NodeState(f"rabbit{n}", f"127.0.0.{n}", 8883, 15672, 25000 + n) for n in (1, 2, 3)]
    for node in nodes:
        node.link_address = node.address.replace(".0.0.", ".0.100.")
    install = RabbitInstall("path", "4.3.6", "/usr/sbin")
    ClusterState(install, nodes, 4369, 2, tmp_path).save(tmp_path)
    return tmp_path


def test_without_faults_nothing_is_looked_at() -> None:
    assert said(target({"local": "/nowhere"})) == ""


def test_the_embedded_broker_can_have_commands_only() -> None:
    embedded = Target(kind="embedded")
    for kind in KINDS - {"run"}:
        assert "the embedded broker cannot have the fault" in said(embedded, Planned(kind, ("one",)))
    assert said(embedded, Planned("run")) == ""


def test_without_control_only_what_needs_none_is_possible() -> None:
    for kind in NEEDS_NODES:
        told = said(target(), Planned(kind, ("one",)))
        assert f"the fault {kind} needs control over the nodes (add control: to the target" in told
    for kind in KINDS - NEEDS_NODES:
        assert said(target(), Planned(kind, ("one",))) == ""
    assert said(target(), Planned("slow", ("127.0.0.2:8883",))) == ""
    assert "no node rabbit2" in said(target(), Planned("slow", ("rabbit2",)))


def test_closing_connections_needs_the_management_api() -> None:
    assert "add target.management" in said(target(management=False), Planned("reset", ("one",)))
    assert "nobody can be asked for the leader" in said(
        target(management=False), Planned("slow", ("leader",))
    )


def test_a_local_cluster_must_be_there_and_have_the_nodes(folder: Path) -> None:
    local = target({"local": str(folder)})
    for kind in KINDS - {"partition"}:
        assert said(local, Planned(kind, ("rabbit2",))) == ""
    assert "the target has no node rabbit7" in said(local, Planned("kill", ("rabbit7",)))
    nowhere = said(target({"local": str(folder / "none")}), Planned("kill", ("one",)))
    assert nowhere.startswith("target.control: there is no cluster in")
    elsewhere = target({"local": str(folder)}, uris=["mqtts://10.0.0.1:8883"])
    assert "10.0.0.1:8883 is no node of the cluster" in said(elsewhere, Planned("kill", ("one",)))


def test_a_partition_has_two_sides_and_needs_a_packet_filter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = target({"local": str(folder)})
    monkeypatch.setattr("loadgen.broker.fault_check.why_no_packet_filter", lambda: "")
    assert said(local, Planned("partition", ("rabbit1", "rabbit2"))) == ""
    assert said(local, Planned("partition", ("majority",))) == ""
    for everybody in (("all",), ("rabbit1", "rabbit2", "rabbit3")):
        assert "a node on either side" in said(local, Planned("partition", everybody))
    monkeypatch.setattr("loadgen.broker.fault_check.why_no_packet_filter", lambda: "it needs root")
    assert "it needs root" in said(local, Planned("partition", ("one",)))


def test_nodes_without_link_addresses_cannot_be_cut_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.broker.fault_check.why_no_packet_filter", lambda: "")
    state = ClusterState.load(folder)
    assert state
    state.nodes[0].link_address = ""
    state.save(folder)
    told = said(target({"local": str(folder)}), Planned("partition", ("one",)))
    assert "started by an earlier loadgen" in told
    assert "`loadgen cluster up`" in told


def test_a_minority_needs_three_nodes(folder: Path) -> None:
    two = target({"local": str(folder)}, uris=URIS[:2])
    assert "no minority of 2 nodes" in said(two, Planned("kill", ("minority",)))


def test_pods_cannot_be_paused_or_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pods = {"kubernetes": {"namespace": "mq", "pods": ["r-0", "r-1", "r-2"]}}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the program kubectl is not on PATH" in said(target(pods), Planned("kill", ("one",)))
    program(tmp_path / "kubectl")
    assert said(target(pods), Planned("kill", ("r-1",))) == ""
    for kind in ("pause", "partition"):
        assert f"kubectl cannot do {kind} to a pod" in said(target(pods), Planned(kind, ("r-1",)))


def test_containers_can_have_every_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = target({"compose": "docker-compose.yml", "services": ["rmq1", "rmq2", "rmq3"]})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the program docker is not on PATH" in said(services, Planned("kill", ("one",)))
    program(tmp_path / "docker")
    for kind in KINDS:
        assert said(services, Planned(kind, ("rmq2",))) == ""


def test_a_problem_stands_where_the_caller_says_and_only_once() -> None:
    again = [Planned("kill", ("one",), "kill#1"), Planned("kill", ("one",), "kill#2")]
    (problem,) = check_faults(target(), again, lambda _: "s.yaml:7: faults.0")
    assert problem.where == "s.yaml:7: faults.0"


def program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
