from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from loadgen.broker.install import RabbitInstall
from loadgen.broker.process import ProcessRef
from loadgen.broker.state import ClusterState, NodeState
from loadgen.cli.cluster import app
from loadgen.errors import BrokerError, ExitCode

if TYPE_CHECKING:
    from pathlib import Path


def dead_cluster(folder: Path) -> None:
    """Write the state of a cluster whose process id now belongs to someone else."""
    ClusterState(
        install=RabbitInstall("root", "4.3.6", "/usr/lib/rabbitmq/bin", folder),
        nodes=[NodeState("rabbit1", "127.0.0.1", 8883, 15672, 24401, ProcessRef(1, 1))],
        epmd_port=24400,
        scheduler_threads=2,
        certs=folder,
    ).save(folder)


def test_the_status_of_no_cluster_is_an_error_with_a_mend(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--directory", str(tmp_path)])
    assert isinstance(result.exception, BrokerError)
    assert "loadgen cluster up" in result.exception.mend


def test_status_shows_a_dead_node_and_exits_106(tmp_path: Path) -> None:
    dead_cluster(tmp_path)
    result = CliRunner().invoke(app, ["status", "--directory", str(tmp_path)])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "rabbit1@localhost" in result.stdout
    assert "down" in result.stdout


def test_status_as_json_has_no_secret(tmp_path: Path) -> None:
    dead_cluster(tmp_path)
    (tmp_path / "management-password").write_text("s3cret")
    result = CliRunner().invoke(app, ["status", "--directory", str(tmp_path), "--output-format", "json"])
    facts = json.loads(result.stdout)
    assert facts["nodes"][0]["condition"] == "down"
    assert facts["target_file"] == str(tmp_path / "target.yaml")
    assert "s3cret" not in result.output


@pytest.mark.parametrize("verb", ["kill", "stop", "pause", "resume", "drain", "revive", "partition"])
def test_a_dead_node_cannot_be_disturbed(tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.cli.cluster.why_no_packet_filter", lambda: "")
    dead_cluster(tmp_path)
    result = CliRunner().invoke(app, [verb, "rabbit1", "--directory", str(tmp_path)])
    assert isinstance(result.exception, BrokerError)
    assert "rabbit1 does not run" in str(result.exception)


def test_a_partition_without_a_packet_filter_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.cli.cluster.why_no_packet_filter", lambda: "it needs root")
    dead_cluster(tmp_path)
    result = CliRunner().invoke(app, ["partition", "rabbit1", "--directory", str(tmp_path)])
    assert isinstance(result.exception, BrokerError)
    assert result.exception.what == "it needs root"


def test_down_without_a_cluster_is_fine(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["down", "--directory", str(tmp_path / "none")])
    assert result.exit_code == 0
    assert not (tmp_path / "none").exists()


def test_down_with_purge_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    dead_cluster(folder)
    assert CliRunner().invoke(app, ["down", "--purge", "--directory", str(folder)]).exit_code == 0
    assert not folder.exists()


def test_install_of_an_unknown_release_names_those_it_can_make() -> None:
    result = CliRunner().invoke(app, ["install", "--release", "3.13"])
    assert isinstance(result.exception, BrokerError)
    assert "4.3 or 4.0" in result.exception.mend


def test_up_without_rabbitmq_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_HOME", str(tmp_path))
    monkeypatch.setattr("loadgen.broker.install.installed_on_path", lambda: None)
    result = CliRunner().invoke(app, ["up", "--directory", str(tmp_path / "cluster")])
    assert isinstance(result.exception, BrokerError)
    assert "loadgen cluster install" in result.exception.mend
