from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from loadgen.broker.auth import Auth
from loadgen.broker.folder import ClusterFolder
from loadgen.broker.install import RabbitInstall
from loadgen.broker.process import ProcessRef
from loadgen.broker.state import ClusterState, NodeState
from loadgen.errors import BrokerError
from loadgen.scenario.target import Target


def example() -> ClusterState:
    return ClusterState(
        install=RabbitInstall("root", "4.3.6", "/usr/lib/rabbitmq/bin", Path("/some/root")),
        nodes=[
            NodeState("rabbit1", "127.0.0.1", 8883, 15672, 24401, ProcessRef(12, 345)),
            NodeState("rabbit2", "127.0.0.2", 8883, 15672, 24402),
        ],
        epmd_port=24400,
        scheduler_threads=2,
        certs=Path("/some/certs"),
        epmd=ProcessRef(11, 344),
        auth=Auth("san-uri", verify_client_id=True),
        queue_type="quorum",
    )


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    example().save(tmp_path)
    assert ClusterState.load(tmp_path) == example()
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_no_cluster_is_no_error(tmp_path: Path) -> None:
    assert ClusterState.load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"install": {"root": null}}', "\0"])
def test_a_damaged_file_is_refused_with_a_mend(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(BrokerError, match="down --purge"):
        ClusterState.load(tmp_path)


def test_nodes_are_found_by_short_and_full_name() -> None:
    state = example()
    assert state.node("rabbit2") is state.node("rabbit2@localhost")
    with pytest.raises(BrokerError, match="its nodes are rabbit1, rabbit2"):
        state.node("rabbit3")


def test_the_target_file_leads_to_nodes_management_and_control(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    folder.write_target(example())
    target = Target.model_validate(yaml.safe_load(folder.target_file.read_text(encoding="utf-8")))
    assert [str(uri) for uri in target.uris] == ["mqtts://127.0.0.1:8883", "mqtts://127.0.0.2:8883"]
    assert target.management is not None
    assert target.control is not None
    assert target.control.local == str(folder.directory)
