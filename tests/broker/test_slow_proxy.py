"""The proxies through which nodes become slow, before a plain TCP server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

import pytest

from loadgen.broker.process import ProcessRef
from loadgen.broker.slow_proxy import SlowProxies
from loadgen.errors import BrokerError
from tests.broker.faults_rig import Steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MILLI = 1_000_000


class Echo:
    """Sends back what comes, and remembers how each connection ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
            self.ended.append("FIN")
        except ConnectionResetError:
            self.ended.append("RST")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def proxied() -> AsyncIterator[tuple[SlowProxies, Echo, tuple[str, int]]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    proxies = SlowProxies()
    try:
        where = await proxies.start({"node": server.sockets[0].getsockname()[:2]})
        yield proxies, echo, where["node"]
    finally:
        await proxies.close()
        server.close()


async def round_trip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> float:
    began = monotonic()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return monotonic() - began


async def until(condition: object, limit: float = 10) -> None:
    assert callable(condition)
    deadline = monotonic() + limit
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.005)


def test_bytes_pass_untouched_and_a_megabyte_comes_through_in_order() -> None:
    async def play() -> None:
        async with proxied() as (_, _, where):
            reader, writer = await asyncio.open_connection(*where)
            payload = b"".join(number.to_bytes(4, "big") for number in range(1 << 18))
            sending = asyncio.create_task(round_trip(reader, writer, payload))
            await sending
            writer.close()

    asyncio.run(play())


def test_each_direction_is_late_by_the_delay_and_quick_again_afterwards() -> None:
    async def play() -> None:
        steps = Steps()
        async with proxied() as (proxies, _, where):
            reader, writer = await asyncio.open_connection(*where)
            quick = [await round_trip(reader, writer, b"x") for _ in range(20)]
            before = monotonic_ns()
            await proxies.slow(["node"], 50 * MILLI, 0, steps)
            slow = [await round_trip(reader, writer, b"x") for _ in range(5)]
            await proxies.slow(["node"], 0, 0, steps)
            again = [await round_trip(reader, writer, b"x") for _ in range(20)]
            writer.close()
        assert min(quick) < 0.02
        assert min(slow) >= 0.099
        assert sorted(slow)[2] < 0.15
        assert min(again) < 0.02
        assert steps.words == [("slow", "node"), ("at full speed", "node")]
        assert steps.at("slow", "node") >= before

    asyncio.run(play())


def test_jitter_varies_the_delay_and_keeps_the_order() -> None:
    async def play() -> None:
        async with proxied() as (proxies, _, where):
            reader, writer = await asyncio.open_connection(*where)
            await proxies.slow(["node"], 20 * MILLI, 20 * MILLI, Steps())
            times = [await round_trip(reader, writer, b"x") for _ in range(15)]
            assert max(times) - min(times) > 0.01
            sent = [bytes([number]) * 100 for number in range(100)]
            for piece in sent:
                writer.write(piece)
                await asyncio.sleep(0.001)
                if piece == sent[50]:
                    await proxies.slow(["node"], 0, 0, Steps())  # what is under way stays in front
            assert await reader.readexactly(10_000) == b"".join(sent)
            writer.close()

    asyncio.run(play())


def test_the_ends_of_connections_pass_both_ways() -> None:
    async def play() -> None:
        async with proxied() as (_, echo, where):
            reader, writer = await asyncio.open_connection(*where)
            writer.write(b"last")
            writer.write_eof()
            assert await reader.read() == b"last"  # half closed: the answer still comes, then the other FIN
            writer.close()
            await until(lambda: echo.ended == ["FIN"])

            _, writer = await asyncio.open_connection(*where)
            await until(lambda: len(echo.writers) == 2)
            reset(writer)
            await until(lambda: echo.ended == ["FIN", "RST"])

            reader, writer = await asyncio.open_connection(*where)
            await until(lambda: len(echo.writers) == 3)
            reset(echo.writers[2])
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(play())


def reset(writer: asyncio.StreamWriter) -> None:
    wire = writer.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_a_node_that_is_down_resets_what_comes_through_the_proxy() -> None:
    async def read(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)  # may meet the reset already
        try:
            await reader.read()
        finally:
            writer.close()

    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as vacant:
            port = vacant.getsockname()[1]
        proxies = SlowProxies()
        try:
            where = await proxies.start({"node": ("127.0.0.1", port)})
            with pytest.raises(ConnectionResetError):
                await read(*where["node"])
        finally:
            await proxies.close()

    asyncio.run(play())


def test_the_process_says_what_it_used_and_is_gone_when_closed() -> None:
    async def play() -> None:
        async with proxied() as (proxies, _, where):
            reader, writer = await asyncio.open_connection(*where)
            await round_trip(reader, writer, b"x")
            usage = await proxies.usage()
            assert usage["forwarded"] >= 2
            assert usage["cpu"] > 0
            assert proxies._process
            process = ProcessRef.of(proxies._process.pid)
            await proxies.close()
            assert not process.alive()
            with pytest.raises(BrokerError, match="the proxies do not run"):
                await proxies.slow(["node"], MILLI, 0, Steps())
            await proxies.close()
            writer.close()

    asyncio.run(play())
