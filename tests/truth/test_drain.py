"""A drain whose time is up while messages still arrive has lost nothing: the broker was slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

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
