from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker import sampling
from loadgen.broker.install import RabbitInstall
from loadgen.broker.management import Management
from loadgen.broker.process import ProcessRef
from loadgen.broker.sampling import ClusterSamples
from loadgen.broker.state import ClusterState, NodeState
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NODE = {
    "name": "rabbit1@localhost",
    "running": True,
    "mem_used": 162_594_816,
    "mem_limit": 5_055_212_748,
    "mem_alarm": False,
    "disk_free": 83_905_953_792,
    "disk_free_alarm": False,
    "fd_used": 36,
    "proc_used": 281,
    "run_queue": 2,
    "gc_num": 5538,
    "connection_created": 320,
    "connection_closed": 20,
    "log_files": ["node.log"],
}
"""Part of what RabbitMQ 4.3 answers."""
OVERVIEW = {
    "rabbitmq_version": "4.3.6",
    "object_totals": {"channels": 0, "consumers": 4, "exchanges": 8, "queues": 5, "connections": 300},
    "queue_totals": {"messages": 12, "messages_ready": 10, "messages_unacknowledged": 2},
}


def run(talk: Callable[[FakeManagementApi, Management], Awaitable[None]]) -> None:
    async def main() -> None:
        async with FakeManagementApi() as api:
            api.nodes, api.overview = [dict(NODE)], dict(OVERVIEW)
            async with Management([api.uri], "admin", "right") as management:
                await talk(api, management)

    asyncio.run(main())


def test_a_sample_has_the_totals_and_every_node_in_two_cheap_requests() -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        api.nodes.append({"name": "rabbit2@localhost", "running": False})
        api.nodes[0]["mem_alarm"] = True
        sample = await ClusterSamples(management).sample()
        assert sample.pop("ns") > 0
        assert sample == {
            "answered": True,
            "connections": 300,
            "queues": 5,
            "consumers": 4,
            "messages_ready": 10,
            "messages_unacknowledged": 2,
            "nodes": [
                {
                    "name": "rabbit1@localhost",
                    "running": True,
                    "memory": 162_594_816,
                    "memory_limit": 5_055_212_748,
                    "file_descriptors": 36,
                    "processes": 281,
                    "run_queue": 2,
                    "gc_runs": 5538,
                    "disk_free": 83_905_953_792,
                    "connections": 300,
                    "alarms": ["memory"],
                },
                {"name": "rabbit2@localhost", "running": False},
            ],
        }
        assert [path for _, path in api.requests] == ["/api/overview", "/api/nodes"]
        assert all("columns" in query for query in api.queries)

    run(talk)


@pytest.mark.parametrize(
    ("closed", "told"),
    [([20, 0, 0], [100, 100, 100]), ([19, 0, 0], [101, 100, 100]), ([16, 0, 0], None), ([20, 101, 0], None)],
)
def test_nodes_whose_connections_do_not_add_up_tell_none(closed: list[int], told: list[int] | None) -> None:
    """A node counts refused connections as closed only."""

    async def talk(api: FakeManagementApi, management: Management) -> None:
        opened = [120, 100, 100]
        absent: list[int | None] = [None, None, None]
        api.nodes = [
            NODE | {"name": f"rabbit{n}", "connection_created": opened[n], "connection_closed": closed[n]}
            for n in range(3)
        ]
        nodes = (await ClusterSamples(management).sample())["nodes"]
        assert [node.get("connections") for node in nodes] == (told or absent)
        assert all(node["memory"] for node in nodes)

    run(talk)


@pytest.mark.parametrize(
    ("queues", "totals", "ready"), [(0, {}, 0), (5, {}, None), (5, {"messages_ready": 3}, 3)]
)
def test_no_queue_is_no_message_and_no_figure_is_none(
    queues: int, totals: dict[str, int], ready: int | None
) -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        api.overview = {"object_totals": {"queues": queues}, "queue_totals": totals}
        sample = await ClusterSamples(management).sample()
        assert sample.get("messages_ready") == ready

    run(talk)


def test_an_api_that_hangs_is_a_sample_within_the_limit_and_the_next_node_is_asked_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "LIMIT_S", 0.05)

    async def talk(api: FakeManagementApi, management: Management) -> None:
        async with FakeManagementApi() as stuck:
            stuck.hanging = asyncio.Event()
            async with Management([stuck.uri, api.uri], "admin", "right") as both:
                source = ClusterSamples(both)
                first, second = await source.sample(), await source.sample()
                assert (first["answered"], first["nodes"]) == (False, [])
                assert (second["answered"], second["nodes"][0]["memory"]) == (True, 162_594_816)
                assert stuck.requests == [("GET", "/api/overview")]
            stuck.hanging.set()

    run(talk)


@pytest.mark.parametrize("odd", [{"status": 503}, {"nodes": [{"what": 1}]}])
def test_a_broker_that_fails_is_a_sample_that_says_so_and_keeps_the_names(odd: dict[str, Any]) -> None:
    async def talk(api: FakeManagementApi, management: Management) -> None:
        source = ClusterSamples(management)
        await source.sample()
        for name, value in odd.items():
            setattr(api, name, value)
        sample = await source.sample()
        assert (sample["answered"], sample["nodes"]) == (False, [{"name": "rabbit1@localhost"}])

    run(talk)


def test_local_nodes_are_looked_at_even_when_none_answers(tmp_path: Path) -> None:
    me = ProcessRef.of(os.getpid())
    install = RabbitInstall("path", "4.3.6", "/usr/lib/rabbitmq/bin")
    node = NodeState("rabbit1", "127.0.0.1", 8883, 15672, 25672, me)
    ClusterState(install, [node], 4369, 2, tmp_path).save(tmp_path)

    async def talk(api: FakeManagementApi, management: Management) -> None:
        api.status = 503
        sample = await ClusterSamples(management, tmp_path).sample()
        (seen,) = sample["nodes"]
        assert seen["name"] == "rabbit1@localhost"
        assert seen["resident"] > 10_000_000
        assert seen["cpu_seconds"] > 0

    run(talk)
