"""Samples of real nodes: what they tell, and what is left while one of them hangs."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from loadgen.broker import sampling
from loadgen.broker.management import Management
from loadgen.broker.sampling import ClusterSamples
from loadgen.broker.state import ClusterState
from loadgen.metrics.broker_sample import BrokerSample, cpu_cores

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster

pytestmark = pytest.mark.rabbitmq


async def take(source: ClusterSamples) -> BrokerSample:
    return BrokerSample.from_dict(await source.sample())


def test_three_nodes_tell_and_a_hanging_one_silences_all(
    rabbitmq_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "LIMIT_S", 1.0)
    state = ClusterState.load(rabbitmq_cluster.directory)
    assert state is not None
    uris = [f"http://{node.address}:{node.management_port}" for node in state.nodes]
    password = (rabbitmq_cluster.directory / "management-password").read_text().strip()

    async def main() -> None:
        async with Management(uris, "loadgen", password) as management:
            source = ClusterSamples(management, rabbitmq_cluster.directory)
            deadline = monotonic() + 20
            while not all(node.memory for node in (await take(source)).nodes):
                assert monotonic() < deadline, "a node tells of itself a few seconds after its start"
                await asyncio.sleep(0.2)
            first, second = await take(source), await take(source)
            for sample in (first, second):
                assert sample.answered
                assert [node.name for node in sample.nodes] == [node.full_name for node in state.nodes]
                for node in sample.nodes:
                    assert node.running
                    assert node.memory is not None
                    assert node.resident is not None
                    assert 50_000_000 < node.memory < (node.memory_limit or 0)
                    assert node.resident > 50_000_000
                    assert (node.cpu_seconds or 0) > 1
                    assert (node.processes or 0) > 100
                    assert not node.alarms
                assert sample.connections is not None
                assert sample.queue_depth is not None
            assert set(cpu_cores([first, second])) == {node.full_name for node in state.nodes}
            rabbitmq_cluster.pause("rabbit3")
            try:
                began = monotonic()
                silent = await take(source)
                assert monotonic() - began < 5
            finally:
                rabbitmq_cluster.resume("rabbit3")
            assert not silent.answered
            assert [node.running for node in silent.nodes] == [None] * 3
            assert all(node.resident and node.cpu_seconds for node in silent.nodes)
            deadline = monotonic() + 30
            while not (await take(source)).answered:
                assert monotonic() < deadline, "it runs again"

    asyncio.run(main())
