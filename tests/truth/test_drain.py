"""When a drain ends, and what it calls lost: not what still arrives; what nobody owes is not waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from mqtt5 import PublishPacket

    from tests.truth.bench import Bench, Finished

MESSAGES = 20
GROUPS: dict[str, Any] = {
    "sensors": {
        "clients": 1,
        "publish": {"topic": "drain/a", "qos": 1, "rate": f"{MESSAGES}/s", "payload": "64B"},
    },
    "monitors": {"clients": 1, "subscribe": {"filter": "drain/a", "qos": 1}},
}
STAGES = [
    {"name": "connect", "connect": "100/s"},
    {"name": "steady", "hold": "1s"},
    {"name": "drain", "drain": "2s"},
]


@pytest.fixture(autouse=True)
def _soon_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.coordination.settling.QUIET", 0.6)


def run(bench: Bench, *, apart: float, never: int = 0) -> Finished:
    """Acknowledge at once and deliver one message every `apart` seconds, the last `never` not at all."""
    seen: set[bytes] = set()

    def hold_back(_number: int, packet: PublishPacket) -> bool:
        content = bytes(packet.payload)
        if content in seen:
            return False  # its time has come
        seen.add(content)
        if len(seen) <= MESSAGES - never:
            loop = asyncio.get_running_loop()
            loop.call_later(len(seen) * apart, lambda: broker.publish(packet.topic, content, qos=1))
        return True

    broker = FakeBroker(ssl=bench.server_tls(), drop=hold_back)

    async def main() -> Finished:
        async with broker:
            scenario = bench.scenario(f"mqtts://127.0.0.1:{broker.port}", GROUPS, STAGES)
            return await bench.run(scenario)

    return run_on_fast_loop(main())


def test_what_still_arrives_when_the_time_is_up_is_unsettled(bench: Bench) -> None:
    finished = run(bench, apart=0.3)
    assert finished.result["stages"][-1]["ended_by"] == "time"
    assert finished.ledger["settled"] is False
    assert finished.ledger["unsettled"] > 0
    assert finished.ledger["lost"] == 0


def test_what_is_missing_when_nothing_arrives_any_more_is_lost(bench: Bench) -> None:
    finished = run(bench, apart=0.01, never=3)
    assert finished.result["stages"][-1]["ended_by"] == "time"
    assert finished.ledger["settled"] is True
    assert (finished.ledger["lost"], finished.ledger["unsettled"]) == (3, 0)
    assert finished.code == 99


def test_what_nobody_promised_is_not_waited_for(bench: Bench) -> None:
    """QoS 0 messages that a broker dropped: no counter will ever tell that all has arrived."""
    dropped = 0

    def every_second(_number: int, _packet: PublishPacket) -> bool:
        nonlocal dropped
        dropped += 1
        return dropped % 2 == 0

    groups = GROUPS | {"monitors": {"clients": 1, "subscribe": {"filter": "drain/a", "qos": 0}}}
    broker = FakeBroker(ssl=bench.server_tls(), drop=every_second)

    async def main() -> Finished:
        async with broker:
            stages = [*STAGES[:-1], {"name": "drain", "drain": "60s"}]
            return await bench.run(bench.scenario(f"mqtts://127.0.0.1:{broker.port}", groups, stages))

    finished = run_on_fast_loop(main())
    drain = finished.result["stages"][-1]
    assert drain["ended_by"] == "settled"
    assert drain["duration"] < 30
    assert finished.ledger["indeterminate_qos0"] == MESSAGES // 2
