"""The proxy adds its delay, all of it and little more, and keeps every byte."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.fakes.delay_proxy import DelayProxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def run(scenario: Callable[[DelayProxy], Awaitable[None]], delay_s: float) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def whole() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with DelayProxy("127.0.0.1", port, delay_s) as proxy:
            await asyncio.wait_for(scenario(proxy), 20)
        server.close()
        await server.wait_closed()

    asyncio.run(whole())


def test_a_round_trip_takes_twice_the_delay() -> None:
    async def scenario(proxy: DelayProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        trips = []
        for _ in range(10):
            start = time.monotonic()
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            trips.append(time.monotonic() - start)
        writer.close()
        assert min(trips) >= 0.040
        assert sorted(trips)[5] < 0.045, trips
        assert 0 <= proxy.mean_late_s < 0.02  # the machine is shared

    run(scenario, 0.020)


def test_delay_does_not_limit_throughput() -> None:
    async def scenario(proxy: DelayProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        sent = bytes(range(256)) * 20_000
        start = time.monotonic()
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert time.monotonic() - start < 2.0  # one buffer a round trip would take over 8 s
        writer.close()

    run(scenario, 0.050)


def test_a_stall_holds_everything_back_and_loses_nothing() -> None:
    async def scenario(proxy: DelayProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"1")
        assert await reader.read(1) == b"1"
        proxy.stall()
        writer.write(b"2")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        proxy.resume()
        assert await reader.read(1) == b"2"
        writer.close()
        assert proxy.late_ns_max < 50_000_000, "a stall is no lateness of the proxy"

    run(scenario, 0.001)


def test_closing_passes_through() -> None:
    async def scenario(proxy: DelayProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"last words"
        writer.close()

    run(scenario, 0.005)


def test_cut_breaks_connections() -> None:
    async def scenario(proxy: DelayProxy) -> None:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"1")
        assert await reader.read(1) == b"1"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()

    run(scenario, 0.0)


def test_an_unreachable_target_ends_the_connection() -> None:
    async def whole() -> None:
        async with DelayProxy("127.0.0.1", 1, 0.0) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            writer.close()

    asyncio.run(whole())
