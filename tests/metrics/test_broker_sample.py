from __future__ import annotations

import json

import pytest

from loadgen.metrics.broker_sample import BrokerSample, NodeSample, cpu_cores


def test_a_line_is_read_with_its_nodes() -> None:
    line = {
        "ns": 5,
        "answered": True,
        "messages_ready": 3,
        "messages_unacknowledged": 4,
        "nodes": [
            {"name": "a", "running": True, "memory": 100, "resident": 120, "alarms": ["memory"]},
            {"name": "b", "resident": 50},
        ],
    }
    sample = BrokerSample.from_json(json.dumps(line))
    assert sample.nodes[0] == NodeSample("a", running=True, memory=100, resident=120, alarms=("memory",))
    assert (sample.queue_depth, sample.memory, sample.connections) == (7, 150, None)


def test_the_memory_of_all_is_not_known_while_that_of_one_is_not() -> None:
    known = NodeSample("a", memory=100)
    assert BrokerSample(1, nodes=(known, NodeSample("b", running=False))).memory is None
    assert BrokerSample(1).memory is None
    assert BrokerSample(1).queue_depth is None


@pytest.mark.parametrize("line", ['{"ns": 1, "nodes": [{"na', "[]", '{"ns": 1}', '{"ns": 1, "nodes": [{}]}'])
def test_damaged_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        BrokerSample.from_json(line)


def test_cores_are_cpu_time_over_time_with_a_gap_where_a_node_restarted() -> None:
    def sample(seconds: float, *used: float | None) -> BrokerSample:
        nodes = tuple(NodeSample(f"n{number}", cpu_seconds=each) for number, each in enumerate(used))
        return BrokerSample(int(seconds * 1e9), nodes=nodes)

    samples = [sample(0, 1.0, 5.0), sample(5, 3.5, None), sample(10, 0.5, 6.0), sample(20, 5.5, 26.0)]
    assert cpu_cores(samples) == {
        "n0": [(5_000_000_000, 0.5), (20_000_000_000, 0.5)],
        "n1": [(20_000_000_000, 2.0)],
    }
