"""Faults of pods, with a kubectl that notes what it is told; behind the pods is the embedded broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.control import FaultOrder, open_control
from loadgen.broker.embedded import EmbeddedBroker
from loadgen.errors import BrokerError
from tests.broker.faults_rig import Kubernetes, Settings, Steps, TargetLike, Where

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A deleted pod is missing once, then not ready once, and then ready.
KUBECTL = r"""#!/bin/sh
here=$(dirname "$0")
echo "$@" >>"$here/calls"
case "$*" in
*" delete "*missing-0*)
    echo 'Error from server (NotFound): pods "missing-0" not found' >&2
    exit 1
    ;;
*" get pod "*)
    echo >>"$here/asked"
    case $(wc -l <"$here/asked") in
    1) ;;
    2) printf False ;;
    *) printf True ;;
    esac
    ;;
*rabbit_maintenance*) echo '{1764000000000000000,ok,1764000000100000000}' ;;
*lookup_leader*) echo "{rabbitmq_metadata,'rabbit@mq-1.mq-nodes.mq.svc.cluster.local'}" ;;
esac
"""
COMMON = "--context=staging --namespace=mq "


class Cluster:
    def __init__(self, folder: Path, uri: Where) -> None:
        self.folder = folder
        pods = ("mq-0", "mq-1")
        self.target = TargetLike(
            [uri, uri], Settings(kubernetes=Kubernetes("mq", "staging", pods, "rabbitmq"))
        )

    @property
    def calls(self) -> list[str]:
        """Every call without what is common to all."""
        lines = (self.folder / "calls").read_text().splitlines()
        assert all(line.startswith(COMMON) for line in lines)
        return [line.removeprefix(COMMON) for line in lines]


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Where]:
    with EmbeddedBroker.with_authority(tmp_path_factory.mktemp("certs")) as broker:
        yield Where(broker.host, broker.port)


@pytest.fixture
def cluster(tmp_path: Path, listener: Where, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Cluster(tmp_path, listener)


def play(cluster: Cluster, order: FaultOrder, *, heal: bool = True) -> Steps:
    steps = Steps()

    async def run() -> None:
        control = await open_control(cluster.target, None)
        await control.inject(order, steps)
        if heal:
            await control.heal(order, steps)

    asyncio.run(run())
    return steps


def test_a_killed_pod_is_deleted_without_grace_and_waited_for(cluster: Cluster) -> None:
    steps = play(cluster, FaultOrder("kill", ("mq-1",)))
    assert cluster.calls[0] == "delete pod mq-1 --grace-period=0 --force --wait=false"
    assert len([call for call in cluster.calls if call.startswith("get pod mq-1")]) == 3
    assert [what for what, _ in steps.words] == ["killing", "killed", "serving"]


def test_a_stopped_pod_has_its_grace(cluster: Cluster) -> None:
    steps = play(cluster, FaultOrder("stop", ("mq-0", "mq-1")), heal=False)
    assert cluster.calls == ["delete pod mq-0 mq-1 --timeout=120s"]
    assert steps.words[:2] == [("stopping", "mq-0"), ("stopping", "mq-1")]


def test_maintenance_is_asked_for_inside_the_container(cluster: Cluster) -> None:
    steps = play(cluster, FaultOrder("drain", ("mq-1",)))
    assert cluster.calls[0].startswith("exec mq-1 -c rabbitmq -- rabbitmqctl eval")
    assert "rabbit_maintenance:drain()" in cluster.calls[0]
    assert "rabbit_maintenance:revive()" in cluster.calls[1]
    assert [what for what, _ in steps.words] == ["draining", "drained", "reviving", "revived", "serving"]


def test_a_rolling_restart_waits_for_each_pod(cluster: Cluster) -> None:
    steps = play(cluster, FaultOrder("rolling-restart", ("mq-0", "mq-1"), graceful=False))
    deleted = [call.split()[2] for call in cluster.calls if call.startswith("delete")]
    assert deleted == ["mq-0", "mq-1"]
    assert steps.words[:4] == [
        ("killing", "mq-0"),
        ("killed", "mq-0"),
        ("serving", "mq-0"),
        ("killing", "mq-1"),
    ]


def test_the_leader_is_known_by_the_pods_name(cluster: Cluster) -> None:
    async def ask() -> str:
        return await (await open_control(cluster.target, None)).leader()

    assert asyncio.run(ask()) == "mq-1"


def test_pause_is_refused_and_kubectls_words_are_passed_on(cluster: Cluster) -> None:
    with pytest.raises(BrokerError, match="cannot have the fault pause"):
        play(cluster, FaultOrder("pause", ("mq-0",)))
    with pytest.raises(BrokerError, match=r"failed: Error from server \(NotFound\)"):
        play(cluster, FaultOrder("kill", ("missing-0",)))
