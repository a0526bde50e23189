"""The same work on aiomqtt, as its documentation has it: a process of its own that prints one line of JSON.

Each client has an SSL context of its own, since aiomqtt takes a client's certificate no other way; the event
loop is asyncio's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.brokers import HOST
from benchmarks.process import rss


@dataclass(slots=True)
class Work:
    """What to do; written by `rivals.py`."""

    mode: str
    port: int
    certs: str
    clients: int
    connect_rate: int
    keep_alive_s: int
    seconds: int
    warm_up_s: int = 0
    rate: int = 0
    payload: int = 0


class Fleet:
    """All clients of the process; `stack` disconnects them."""

    def __init__(self, work: Work, stack: contextlib.AsyncExitStack) -> None:
        self.work = work
        self.stack = stack

    async def connect(self, index: int, client_id: str) -> aiomqtt.Client:
        certs = Path(self.work.certs)
        name = f"bench{index:05d}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certs / "ca_certificate.pem")
        context.load_cert_chain(certs / f"client_{name}_certificate.pem", certs / f"client_{name}_key.pem")
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.UserProperty = ("client_name", name)
        client = aiomqtt.Client(
            HOST,
            self.work.port,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=self.work.keep_alive_s,
            tls_context=context,
            properties=properties,
            timeout=60,
        )
        return await self.stack.enter_async_context(client)

    async def connect_all(self, names: list[tuple[int, str]]) -> list[aiomqtt.Client]:
        """Connect at the rate asked for, each in a task of its own."""
        start = time.monotonic()
        tasks = []
        for place, (index, client_id) in enumerate(names):
            await _until(start + place / self.work.connect_rate)
            tasks.append(asyncio.create_task(self.connect(index, client_id)))
        return list(await asyncio.gather(*tasks))


async def idle(fleet: Fleet) -> dict[str, float]:
    work = fleet.work
    await fleet.connect(0, "first")
    await asyncio.sleep(0.5)
    rss_one, before = rss(), time.process_time()
    await fleet.connect_all([(index, f"idle-{index}") for index in range(work.clients)])
    connected = time.process_time()
    await asyncio.sleep(work.seconds)
    return {
        "rss_one": rss_one,
        "rss_client": (rss() - rss_one) / work.clients,
        "cpu_connect": (connected - before) / work.clients,
        "cpu_idle": (time.process_time() - connected) / work.clients / work.seconds,
    }


class Messages:
    """Publishers at a steady rate, a subscriber for each, and what both saw."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.lags: list[float] = []
        self.latencies: list[float] = []
        self.deliveries: list[float] = []

    async def publish(self, client: aiomqtt.Client, index: int, start: float, end: float) -> None:
        work = self.fleet.work
        spacing = work.clients / work.rate
        due = start + index / work.rate
        filler = b"x" * (work.payload - 32)
        while due < end:
            await _until(due)
            sent = time.monotonic()
            await client.publish(f"bench/{index}/state", b"%032.9f" % due + filler, qos=1)
            self.latencies.append(time.monotonic() - due)
            self.lags.append(sent - due)
            due += spacing

    async def receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self.deliveries.append(time.monotonic() - float(message.payload[:32]))

    async def run(self) -> dict[str, float]:
        work = self.fleet.work
        count = work.clients
        subscribers = await self.fleet.connect_all([(index, f"sub-{index}") for index in range(count)])
        for index, client in enumerate(subscribers):
            await client.subscribe(f"bench/{index}/state", qos=1)
        publishers = await self.fleet.connect_all([(index, f"pub-{index}") for index in range(count)])
        receivers = [asyncio.create_task(self.receive(client)) for client in subscribers]
        start = time.monotonic() + 0.2
        end = start + work.warm_up_s + work.seconds
        senders = [
            asyncio.create_task(self.publish(client, index, start, end))
            for index, client in enumerate(publishers)
        ]
        await _until(start + work.warm_up_s)
        # A message that is due later must not be counted as one of the steady time.
        self.lags.clear()
        self.deliveries.clear()
        began, before = time.monotonic(), time.process_time()
        await _until(end)
        cpu, seconds, received = time.process_time() - before, time.monotonic() - began, len(self.deliveries)
        lags = sorted(self.lags)
        for task in senders + receivers:
            task.cancel()
        await asyncio.gather(*senders, *receivers, return_exceptions=True)
        return {
            "cpu_message": cpu / received,
            "rate": received / seconds,
            "send_lag_p50": lags[len(lags) // 2],
            "send_lag_p99": lags[len(lags) * 99 // 100],
        }


async def _until(due: float) -> None:
    wait = due - time.monotonic()
    if wait > 0:
        await asyncio.sleep(wait)


async def main(work: Work) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        fleet = Fleet(work, stack)
        if work.mode == "one":
            await fleet.connect(0, "first")
            return {}
        return await (idle(fleet) if work.mode == "idle" else Messages(fleet).run())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Work(**json.loads(sys.argv[1]))))) + "\n")
