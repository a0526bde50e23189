"""The floor: what the same number of writes and reads costs with no TLS, no MQTT and nothing recorded.

A message at QoS 1 is two writes and two reads for whoever plays both devices: the message out, its
acknowledgement in, the message in at the subscriber, its acknowledgement out. Here bare sockets do just
that, on the same event loop, at the same rate, over as many connections, with packets as long as TLS makes
them. What another column has above this can be worked on; the rest is the kernel's and this machine's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.brokers import HOST
from benchmarks.figures import BenchmarkError, Figures
from benchmarks.process import ROOT, run
from loadgen.engine.loop import run_on_fast_loop

if TYPE_CHECKING:
    from benchmarks.settings import Settings

NAME = "bare sockets"
_HEADERS = 50
"""Bytes that PUBLISH and TLS add to a payload, about."""
_ACK = bytes(26)
"""A PUBACK of four bytes in a TLS 1.3 record."""
_TICK = 0.001


def measure(settings: Settings) -> Figures:
    """Run the two processes: a peer that stands for the broker, and the one that is measured."""
    peer = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare_sockets", "peer", str(settings.payload + _HEADERS)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert peer.stdout is not None
        publishing, subscribing = (int(word) for word in peer.stdout.readline().split())
        numbers = (
            *(publishing, subscribing, settings.pairs, settings.rate),
            *(settings.payload + _HEADERS, settings.warm_up_s, settings.steady_s),
        )
        ended = run([sys.executable, "-m", "benchmarks.bare_sockets", "devices", *map(str, numbers)])
    finally:
        peer.kill()
        peer.wait()
    if ended.code:
        raise BenchmarkError(f"bare sockets: {ended.output}")
    found: dict[str, float] = json.loads(ended.output.splitlines()[-1])
    return Figures(cpu_message=found["cpu_message"], rate=found["rate"])


class _Peer(asyncio.Protocol):
    """The broker's side of a publisher: acknowledges each message and hands it to a subscriber."""

    def __init__(self, size: int, subscribers: list[asyncio.Transport], place: list[int]) -> None:
        self._size = size
        self._subscribers = subscribers
        self._number = place[0]
        place[0] += 1
        self._rest = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        count, self._rest = divmod(self._rest + len(data), self._size)
        if count:
            assert self._transport is not None
            self._transport.write(_ACK * count)
            self._subscribers[self._number % len(self._subscribers)].write(bytes(self._size) * count)


class _Listener(asyncio.Protocol):
    """The broker's side of a subscriber."""

    def __init__(self, subscribers: list[asyncio.Transport]) -> None:
        self._subscribers = subscribers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._subscribers.append(transport)  # type: ignore[arg-type]


async def _serve(size: int) -> None:
    loop = asyncio.get_running_loop()
    subscribers: list[asyncio.Transport] = []
    place = [0]
    publishing = await loop.create_server(lambda: _Peer(size, subscribers, place), HOST, 0)
    subscribing = await loop.create_server(lambda: _Listener(subscribers), HOST, 0)
    ports = [each.sockets[0].getsockname()[1] for each in (publishing, subscribing)]
    sys.stdout.write(f"{ports[0]} {ports[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class _Publisher(asyncio.Protocol):
    """Reads acknowledgements and forgets them."""

    def data_received(self, data: bytes) -> None:
        pass


class _Subscriber(asyncio.Protocol):
    """Acknowledges what arrives, all of one read with one write."""

    received = 0

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        count, self._rest = divmod(self._rest + len(data), self._size)
        if count:
            _Subscriber.received += count
            assert self._transport is not None
            self._transport.write(_ACK * count)


async def _devices(
    ports: tuple[int, int], pairs: int, rate: int, size: int, seconds: tuple[int, int]
) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(pairs):
        await loop.create_connection(lambda: _Subscriber(size), HOST, ports[1])
    writers: list[asyncio.Transport] = []
    for _ in range(pairs):
        transport, _ = await loop.create_connection(_Publisher, HOST, ports[0])
        writers.append(transport)
    message = bytes(size)
    began, sent = time.monotonic(), 0

    def publish() -> None:
        nonlocal sent
        due = int((time.monotonic() - began) * rate)
        while sent < due:
            writers[sent % pairs].write(message)
            sent += 1
        loop.call_later(_TICK, publish)

    publish()
    await asyncio.sleep(seconds[0])
    cpu, received, at = time.process_time(), _Subscriber.received, time.monotonic()
    await asyncio.sleep(seconds[1])
    cpu, received = time.process_time() - cpu, _Subscriber.received - received
    if not received:
        raise SystemExit("nothing arrived")
    sys.stdout.write(
        json.dumps({"cpu_message": cpu / received, "rate": received / (time.monotonic() - at)}) + "\n"
    )


def main(role: str, *numbers: str) -> None:
    """Be the peer or the devices."""
    if role == "peer":
        run_on_fast_loop(_serve(int(numbers[0])))
    else:
        first, second, pairs, rate, size, warm_up, steady = map(int, numbers)
        run_on_fast_loop(_devices((first, second), pairs, rate, size, (warm_up, steady)))


if __name__ == "__main__":
    main(*sys.argv[1:])
