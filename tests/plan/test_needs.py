from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadgen.plan.needs import CLIENT_MEMORY, LIBRARY_CLIENT_MEMORY, Machine, needs_of, shortfalls, summary
from tests.plan.conftest import BOARDS, SENSORS

if TYPE_CHECKING:
    from tests.plan.conftest import MakePlan

ROOMY = Machine(cores=4, descriptors=65_536, ports=28_000, memory=1 << 34)


def test_another_librarys_clients_need_more_memory(plan: MakePlan) -> None:
    made = plan()
    native, library = needs_of(made, 1), needs_of(replace(made, driver="aiomqtt"), 1)
    assert library.memory - native.memory == len(made.clients) * (LIBRARY_CLIENT_MEMORY - CLIENT_MEMORY)


def test_needs_add_up(plan: MakePlan) -> None:
    needs = needs_of(plan(), workers=2)
    assert needs.clients == 8
    assert needs.publish_rate == pytest.approx(12)
    assert needs.delivery_rate == pytest.approx(24), "two boards take every message"
    assert needs.publish_bytes == pytest.approx(12 * 64)
    assert needs.messages == (5 // 2 * 12 + 6) + 120, "5 s at half load and 10 s at full load"
    assert needs.clients_per_node == {f"mqtts://127.0.0.{n}:8883": c for n, c in ((1, 3), (2, 3), (3, 2))}
    assert needs.duration == pytest.approx(8 / 100 + 15)
    assert needs.peak_load == 1.0


def test_the_peak_is_the_highest_point_of_any_ramp(plan: MakePlan) -> None:
    stages = [
        {"name": "connect", "connect": "1/s", "groups": ["sensors"]},
        {"name": "more", "connect": "1/s", "groups": ["boards"]},
        {"name": "up", "hold": "1s", "load": "10%..300%"},
        {"name": "down", "hold": "1s", "load": "50%..0%"},
    ]
    needs = needs_of(plan(stages=stages), 1)
    assert needs.peak_load == 3.0
    assert needs.duration == pytest.approx(6 + 2 + 2)


def test_a_roomy_machine_lacks_nothing(plan: MakePlan) -> None:
    assert shortfalls(needs_of(plan(), 1), ROOMY) == []


@pytest.mark.parametrize(
    ("lack", "what", "mend"),
    [
        ({"descriptors": 70}, "open files", "ulimit -n"),
        ({"ports": 2}, "local ports", "ip_local_port_range"),
        ({"memory": 1 << 20}, "MiB are free", "fewer clients"),
    ],
)
def test_what_a_machine_lacks_is_told_with_the_mend(
    plan: MakePlan, lack: dict[str, int], what: str, mend: str
) -> None:
    (problem,) = shortfalls(needs_of(plan(), 1), replace(ROOMY, **lack))
    assert what in problem.what
    assert mend in problem.mend


def test_the_workers_proposed_for_few_descriptors_are_enough(plan: MakePlan) -> None:
    made = plan(groups={"sensors": SENSORS | {"clients": 500, "client_id": "{index}"}, "boards": BOARDS})
    machine = replace(ROOMY, descriptors=164)
    (problem,) = shortfalls(needs_of(made, 1), machine)
    workers = int(problem.mend.split("--workers ")[1].split(",")[0])
    assert not shortfalls(needs_of(made, workers), machine)
    assert shortfalls(needs_of(made, workers - 1), machine)


def test_the_summary_is_json_and_names_every_group(plan: MakePlan) -> None:
    made = plan()
    found = json.loads(json.dumps(summary(made, needs_of(made, 2))))
    assert found["groups"] == {
        "sensors": {
            "clients": 6,
            "publishers": 6,
            "payloads": [64],
            "subscriptions": 0,
            "publish_rate": 12.0,
        },
        "boards": {"clients": 2, "publishers": 0, "payloads": [], "subscriptions": 2, "publish_rate": 0},
    }
    assert found["pairs"] == 12
    assert [each["kind"] for each in found["stages"]] == ["connect", "hold", "hold", "drain"]


def test_ports_are_those_of_the_busiest_pair_of_address_and_node(plan: MakePlan) -> None:
    target = {"uris": [f"mqtts://127.0.0.{n}:8883" for n in (1, 2, 3)]}
    groups = {"sensors": SENSORS | {"clients": 90, "client_id": "{index}"}, "boards": BOARDS}
    assert needs_of(plan(groups=groups, target=target), 1).ports == 31
    # As many addresses as nodes, so that only a turn per node gives each node all of them.
    needs = needs_of(plan(groups=groups, target=target | {"source_addresses": "127.0.1.1-127.0.1.3"}), 1)
    assert (needs.ports, needs.sources) == (11, 3)
    (problem,) = shortfalls(needs, replace(ROOMY, ports=8))
    assert "connect from 5 addresses" in problem.mend


def test_clients_that_come_and_go_hold_ports_of_connections_that_ended(plan: MakePlan) -> None:
    groups = {
        "sensors": SENSORS | {"clients": 300, "client_id": "{index}", "lifetime": "20s", "pause": "10s"},
        "boards": BOARDS,
    }
    assert needs_of(plan(groups=groups), 1).ports == 100 * 3 + 1, "100 to a node; two have left in a minute"
