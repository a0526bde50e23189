"""A subscriber that comes and goes: a kept session gets everything after its return, another has a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.test_ledger import place

if TYPE_CHECKING:
    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

RATE = 50
STAGES = [
    {"name": "connect", "connect": "100/s"},
    {"name": "steady", "hold": "2s"},
    {"name": "drain", "drain": "2s"},
]


def run(bench: Bench, session: dict[str, Any]) -> tuple[Finished, int]:
    """Give the finished run, and how many messages came while the visitor had no session."""
    missed: list[tuple[int, int]] = []

    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls()) as broker:

            def see(_number: int, packet: PublishPacket) -> int:
                there = broker.sessions.get("visitor-0")
                if there is None or not there.subscriptions:
                    missed.append(place(packet))
                return 0

            broker.puback = see
            subscribe = {"filter": "churn", "qos": 1}
            groups = {
                "sensor": {
                    "clients": 1,
                    "publish": {"topic": "churn", "qos": 1, "rate": f"{RATE}/s", "payload": "64B"},
                },
                "keeper": {"clients": 1, "subscribe": subscribe},
                "visitor": {
                    "clients": 1,
                    "subscribe": subscribe,
                    "lifetime": "600ms",
                    "pause": "300ms",
                    "session": session,
                },
            }
            finished = await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", groups, STAGES))
            assert broker.errors == []
            return finished

    return run_on_fast_loop(main()), len(missed)


@pytest.mark.parametrize("kept", [True, False])
def test_the_ledger_stays_true(bench: Bench, kept: bool) -> None:  # noqa: FBT001
    session = {"clean_start": False, "expiry": "1h"} if kept else {}
    finished, missed = run(bench, session)
    ledger, totals = finished.ledger, finished.result["totals"]
    assert finished.code == 0, finished.result["reasons"]
    assert totals["published"] == 2 * RATE
    assert totals["planned_disconnects"] == 2
    assert finished.result["codes"]["disconnect"] == {}
    assert finished.result["metrics"]["connect_time"]["count"] == 3 + 2
    assert ledger["lost"] == ledger["unexpected"] == 0
    gap = ledger["session_gap"]
    # What was on the wire as it left is sent again to a kept session, and is part of the gap else.
    assert ledger["ok"] + ledger["duplicate"] + gap == 4 * RATE
    if kept:
        assert gap == missed == 0
    else:
        assert 20 <= missed <= gap <= missed + 4


def test_keep_alive_only_clients_make_a_run(bench: Bench) -> None:
    async def main() -> Finished:
        async with FakeBroker(ssl=bench.server_tls()) as broker:
            scenario = bench.scenario(
                f"mqtts://127.0.0.1:{broker.port}", {"idle": {"clients": 3}}, [STAGES[0], STAGES[1]]
            )
            return await bench.run(scenario)

    finished = run_on_fast_loop(main())
    assert finished.result["verdict"] == "pass", finished.result["reasons"]
    assert finished.result["totals"]["connected"] == 3
    assert finished.result["ledger"] == {}
