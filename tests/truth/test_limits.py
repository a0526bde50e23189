"""A load that was not the planned one makes the run INVALID, where the scenario draws the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.bench import PATIENT

if TYPE_CHECKING:
    from tests.truth.bench import Bench, Finished

STAGES = [
    {"name": "connect", "connect": "100/s"},
    {"name": "steady", "hold": "500ms"},
    {"name": "drain", "drain": "5s"},
]


def throttled(bench: Bench, limits: dict[str, Any], max_backlog: int) -> Finished:
    """Run 25 messages into a broker that takes one at a time, and 100 ms for each."""

    async def main() -> Finished:
        connack = {"receive_max": 1}
        async with FakeBroker(ssl=bench.server_tls(), connack=connack, puback_delay_s=0.1) as broker:
            publish = {"topic": "t", "qos": 1, "rate": "50/s", "payload": "64B"}
            groups = {
                "pub": {"clients": 1, "publish": publish, "max_backlog": max_backlog},
                "sub": {"clients": 1, "subscribe": {"filter": "t", "qos": 1}},
            }
            uri = f"mqtts://127.0.0.1:{broker.port}"
            return await bench.run(bench.scenario(uri, groups, STAGES, generator={**PATIENT, **limits}))

    return run_on_fast_loop(main())


@pytest.mark.parametrize(
    ("limits", "max_backlog", "reason"),
    [
        ({}, 100, ""),
        ({"max_late": 24}, 100, ""),
        ({"max_late": 5}, 100, "generator.max_late is 5"),
        ({}, 5, "generator.max_dropped is 0"),
        ({"max_dropped": 25}, 5, ""),
    ],
    ids=["any", "allowed", "late", "dropped", "dropped-allowed"],
)
def test_late_and_dropped_messages(
    bench: Bench, limits: dict[str, Any], max_backlog: int, reason: str
) -> None:
    finished = throttled(bench, limits, max_backlog)
    generator = finished.result["generator"]
    assert generator["late"] > 5
    assert generator["limits"]["max_late"] == limits.get("max_late")
    assert bool(generator["dropped"]) == (max_backlog == 5)
    assert finished.result["verdict"] == ("invalid" if reason else "pass"), finished.result["reasons"]
    assert any(reason in each for each in finished.result["reasons"]) == bool(reason)
