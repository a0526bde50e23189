"""A broker that stands still for 2 s: every operation due in that time must show what it waited.

This is the test of coordinated omission. A generator that waits for answers before it sends the next message
sees one slow operation per client; the users it stands for would have seen hundreds. At a fixed rate the
operations due during the stall waited from their own due time to its end, so their response times are uniform
between 0 and 2 s.

What service time (written to the socket → PUBACK) shows depends on where the message waited:

* the connection takes everything (receive maximum 65,535, empty socket buffers): messages are written when
  they are due, wait in the kernel or in the broker, and service time equals response time;
* the broker's receive maximum is used up: only what was in flight waits at the broker. The rest waits at the
  client, is written after the stall, and has a short service time. Only response time tells.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.embedded import EmbeddedBroker
from loadgen.coordination.coordinator import Observer
from loadgen.engine.loop import run_on_fast_loop
from tests.fakes.delay_proxy import DelayProxy
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.bench import above, largest

if TYPE_CHECKING:
    from tests.truth.bench import Bench, Finished

CLIENTS = 20
RATE = 10
SPACING_NS = 1_000_000_000 // (CLIENTS * RATE)
HOLD_S = 4
STALL_S = 2.0
SLACK_S = 0.15
"""How far a sample may lie above the calculated one, besides what the broker needed to catch up."""

STAGES = [
    {"name": "connect", "connect": "40/s"},
    {"name": "steady", "hold": f"{HOLD_S}s"},
    {"name": "drain", "drain": "3s"},
]
GROUPS = {
    "sensors": {
        "clients": CLIENTS,
        "publish": {"topic": "stall/{index}", "qos": 1, "rate": f"{RATE}/s", "payload": "64B"},
    },
    "monitors": {"clients": 1, "subscribe": {"filter": "stall/+", "qos": 1}},
}
# Half of the stall: a stalled broker must not look like a slow generator, and a busy machine may be one.
LIMITS = {"send_lag": "1s", "loop_lag": "2s"}


class Stall:
    """When the broker stood still, and what follows from that by hand."""

    def __init__(self) -> None:
        self.began = self.ended = 0
        self.catch_up = 0.0
        """Seconds the broker needed after the stall for what had piled up, where the test can know it."""

    def waits(self, stage_start: int) -> list[float]:
        """How long each operation due in the stall had to wait at least, in seconds, in rising order."""
        due = (stage_start + k * SPACING_NS for k in range(HOLD_S * CLIENTS * RATE))
        return sorted((self.ended - t) / 1e9 for t in due if self.began <= t < self.ended)

    def check(self, finished: Finished, metric: str) -> None:
        """The metric's tail is the uniform distribution that the stall makes, never below it."""
        histogram, stage_start = finished.histogram(metric), finished.stage_start("steady")
        # On a busy machine all of us wait for a processor: how long, the loop's own probe tells.
        allowed = SLACK_S + self.catch_up + min(2 * finished.histogram("loop_lag").max / 1e9, 0.3)
        waits = self.waits(stage_start)
        assert len(waits) == pytest.approx(STALL_S * CLIENTS * RATE, abs=60)
        tail = largest(histogram, len(waits))
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            place = round(quantile * len(waits)) - 1
            slack = tail[place] - waits[place]
            assert -0.01 <= slack <= allowed, f"quantile {quantile}: {tail[place]} for {waits[place]}"
        for limit in (0.5, 1.0, 1.5):
            by_hand = sum(wait > limit for wait in waits)
            extra = allowed * CLIENTS * RATE
            assert by_hand - 2 <= above(histogram, limit) <= by_hand + extra, limit


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_a_stopped_broker_shows_in_every_operation_that_was_due(bench: Bench) -> None:
    stall = Stall()
    steady = asyncio.Event()

    async def stop_and_go(pid: int) -> None:
        await steady.wait()
        await asyncio.sleep(1.0)
        os.kill(pid, signal.SIGSTOP)
        try:
            while state_of(pid) != "T":  # noqa: ASYNC110 - the kernel has no event for it
                await asyncio.sleep(0)
            stall.began = monotonic_ns()
            await asyncio.sleep(STALL_S)
        finally:
            stall.ended = monotonic_ns()
            os.kill(pid, signal.SIGCONT)

    def note(text: str) -> None:
        if text.startswith("stage steady"):
            steady.set()

    async def main() -> Finished:
        with EmbeddedBroker.with_authority(bench.certs) as broker:
            assert broker.pid is not None
            scenario = bench.scenario(broker.uri, GROUPS, STAGES, generator=LIMITS)
            stalling = asyncio.create_task(stop_and_go(broker.pid))
            try:
                return await bench.run(scenario, observer=Observer(on_note=note))
            finally:
                stalling.cancel()

    finished = run_on_fast_loop(main())
    assert finished.code == 0, finished.result["reasons"]
    total = HOLD_S * CLIENTS * RATE
    assert finished.histogram("publish_latency").count == total
    stall.check(finished, "publish_latency")
    stall.check(finished, "delivery_latency")
    # All of them were written when they were due, into sockets that took them: service time is the same here.
    stall.check(finished, "publish_service_time")
    assert finished.result["generator"]["late"] == 0
    assert finished.histogram("send_lag").count == total
    assert finished.ledger["ok"] == total


def test_with_the_receive_maximum_used_up_only_messages_in_flight_have_a_long_service_time(
    bench: Bench,
) -> None:
    stall = Stall()

    async def stop_and_go(broker: FakeBroker, proxy: DelayProxy) -> None:
        await broker.until(lambda: bool(broker.publishes), timeout_s=30)
        first = monotonic_ns()
        await asyncio.sleep(1.0)
        proxy.stall()
        stall.began = monotonic_ns()
        await asyncio.sleep(STALL_S)
        stall.ended = monotonic_ns()
        proxy.resume()
        await broker.until(lambda: len(broker.publishes) >= (monotonic_ns() - first) // SPACING_NS - CLIENTS)
        stall.catch_up = (monotonic_ns() - stall.ended) / 1e9

    async def main() -> Finished:
        async with (
            FakeBroker(ssl=bench.server_tls(), connack={"receive_max": 1}) as broker,
            DelayProxy("127.0.0.1", broker.port, 0.0) as proxy,
        ):
            scenario = bench.scenario(f"mqtts://127.0.0.1:{proxy.port}", GROUPS, STAGES, generator=LIMITS)
            stalling = asyncio.create_task(stop_and_go(broker, proxy))
            try:
                return await bench.command(scenario, "--workers", "1")
            finally:
                stalling.cancel()

    finished = run_on_fast_loop(main())
    assert finished.code == 0, finished.result["reasons"]
    total = HOLD_S * CLIENTS * RATE
    response, service = finished.histogram("publish_latency"), finished.histogram("publish_service_time")
    assert response.count == service.count == total
    stall.check(finished, "publish_latency")
    stall.check(finished, "delivery_latency")
    # One message of each client was at the broker, written in the first 100 ms of the stall.
    assert above(service, STALL_S - 1 / RATE - 0.02) == CLIENTS
    assert above(service, STALL_S / 2) == CLIENTS
    waiting = len(stall.waits(finished.stage_start("steady"))) - CLIENTS
    assert finished.result["generator"]["late"] >= waiting
    assert finished.ledger["ok"] == total
