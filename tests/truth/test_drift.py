"""A soak in seconds: what creeps fails with its own name and rate, what holds still passes.

The engine's interval is a tenth of a second here, so that three seconds have as many points as hours have.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.coordination.coordinator import Observer
from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.delay_proxy import DelayProxy
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.truth.bench import Bench, Finished

TENTH_NS = 100_000_000
HOLD_S = 3.4
GROUPS = {
    "sensors": {
        "clients": 20,
        "publish": {"topic": "drift/{index}", "qos": 1, "rate": "10/s", "payload": "64B"},
    },
    "monitors": {"clients": 1, "subscribe": {"filter": "drift/+", "qos": 1}},
}
STAGES = [
    {"name": "connect", "connect": "40/s"},
    {"name": "steady", "hold": f"{HOLD_S * 1000:.0f}ms"},
    {"name": "drain", "drain": "3s"},
]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.engine.fleet._SECOND", TENTH_NS)
    monkeypatch.setattr("loadgen.drift_watch._FEWEST_MESSAGES", 10)


@contextlib.asynccontextmanager
async def each_moment(act: Callable[[float], None], steady: asyncio.Event) -> AsyncIterator[None]:
    """Call `act` with the seconds since the steady stage began, every hundredth of a second."""

    async def repeat() -> None:
        await steady.wait()
        began = monotonic()
        while True:
            act(monotonic() - began)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def begins(steady: asyncio.Event) -> Observer:
    """Set an event when the steady stage begins."""
    return Observer(on_note=lambda text: steady.set() if text.startswith("stage steady") else None)


def rows(finished: Finished) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in finished.result["drift"]}


def through_a_proxy(bench: Bench, delay: Callable[[float], float], limits: dict[str, str]) -> Finished:
    """Run on the embedded broker behind a proxy whose delay (s) is a function of the time (s)."""

    async def main() -> Finished:
        steady = asyncio.Event()
        with EmbeddedBroker.with_authority(bench.certs) as broker:
            async with DelayProxy("127.0.0.1", broker.port, delay(0)) as proxy:

                def act(seconds: float) -> None:
                    proxy.delay_ns = round(delay(seconds) * 1e9)

                uri = f"mqtts://127.0.0.1:{proxy.port}"
                scenario = bench.scenario(uri, GROUPS, STAGES, drift={"limits": limits})
                async with each_moment(act, steady):
                    return await bench.run(scenario, observer=begins(steady))

    return run_on_fast_loop(main())


def test_a_latency_that_rises_fails_with_its_rate(bench: Bench) -> None:
    """100 ms more in each direction every second: much, so that a busy machine's own noise does not matter.

    A message due at t arrives at about t + 0.2 t, so that the gain is 0.2 s in 1.2 s: 600 s in an hour.
    """
    limits = {"delivery_latency_p99": "200s/h", "generator_memory": "1000GB/h"}
    finished = through_a_proxy(bench, lambda seconds: 0.02 + 0.1 * min(seconds, HOLD_S + 1), limits)
    assert finished.code == 99
    (reason,) = finished.result["reasons"]
    assert reason.startswith("drift of delivery_latency_p99: +")
    assert reason.endswith("; more than 200s/h")
    row = rows(finished)["delivery_latency_p99"]
    assert row["slope"] == pytest.approx(600, rel=0.2)
    assert row["low"] > 200
    assert rows(finished)["generator_memory"]["verdict"] == "pass"


def test_a_latency_that_holds_still_passes(bench: Bench) -> None:
    limits = {
        "publish_latency_p99": "200s/h",
        "delivery_latency_p99": "200s/h",
        "generator_memory": "1000GB/h",
        "connected_clients": "1%/s",
    }
    finished = through_a_proxy(bench, lambda _: 0.02, limits)
    assert finished.code == 0, finished.result["reasons"]
    found = rows(finished)
    assert {row["verdict"] for row in found.values()} == {"pass"}
    assert found["delivery_latency_p99"]["level"] == pytest.approx(0.04, abs=0.02)
    assert found["delivery_latency_p99"]["points"] >= 20


def with_an_api(bench: Bench, depth: Callable[[float], int], limits: dict[str, str]) -> Finished:
    """Run on the embedded broker with a management API whose queues hold a function of the time (s)."""

    async def main() -> Finished:
        steady = asyncio.Event()
        with EmbeddedBroker.with_authority(bench.certs) as broker:
            async with FakeManagementApi() as api:
                names = [f"truth{number:03d}" for number in range(20)]
                api.users |= {name: [] for name in names}
                rights = {"configure": ".*", "write": ".*", "read": ".*"}
                api.permissions |= dict.fromkeys(names, rights)
                api.ask_connections = broker.connections

                def act(seconds: float) -> None:
                    messages = {"messages_ready": depth(seconds), "messages_unacknowledged": 3}
                    objects = {"connections": 21, "queues": 1, "consumers": 1}
                    api.overview = {"object_totals": objects, "queue_totals": messages}
                    api.nodes = [{"name": "a", "running": True, "mem_used": 100_000_000}]

                act(0)
                bench.folder.joinpath("password").write_text("right", encoding="utf-8")
                management = {
                    "uris": [api.uri],
                    "username": "admin",
                    "password": {"file": str(bench.folder / "password")},
                    "sample_every": "100ms",
                }
                more = {"target": {"management": management}, "drift": {"limits": limits}}
                scenario = bench.scenario(broker.uri, GROUPS, STAGES, **more)
                async with each_moment(act, steady):
                    return await bench.run(scenario, observer=begins(steady))

    return run_on_fast_loop(main())


def test_a_queue_that_grows_fails_with_its_rate(bench: Bench) -> None:
    finished = with_an_api(bench, lambda seconds: round(50 * seconds), {"queue_depth": "1000/h"})
    assert finished.code == 99
    (reason,) = finished.result["reasons"]
    assert reason.startswith("drift of queue_depth: +1")
    assert reason.endswith("; more than 1000/h")
    assert rows(finished)["queue_depth"]["slope"] == pytest.approx(50 * 3600, rel=0.1)


def test_queues_and_memory_that_hold_still_pass(bench: Bench) -> None:
    finished = with_an_api(bench, lambda _: 12, {"queue_depth": "10/h", "broker_memory": "1%/h"})
    assert finished.code == 0, finished.result["reasons"]
    found = rows(finished)
    assert (found["queue_depth"]["level"], found["broker_memory"]["level"]) == (15, 100_000_000)


def test_too_little_data_is_no_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.drift_watch._FEWEST_MESSAGES", 200)
    finished = through_a_proxy(bench, lambda _: 0.0, {"delivery_latency_p99": "1000%/h"})
    assert finished.code == 98
    (reason,) = finished.result["reasons"]
    assert reason.startswith("drift of delivery_latency_p99: no verdict on 1000%/h: ")
