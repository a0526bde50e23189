"""Source addresses: connections from several addresses of this machine, and what is none of it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest

from loadgen.engine.dialing import bound_socket, dial_from, not_local
from loadgen.engine.phase import Phase
from tests.engine.rig import QUICK

if TYPE_CHECKING:
    from tests.engine.conftest import Run
    from tests.engine.rig import Rigs

FOREIGN = "192.0.2.1"
"""Of TEST-NET-1 [RFC 5737]: nobody's."""


def test_clients_take_the_addresses_in_turn(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, {"g": {"clients": 5}}, source_addresses="127.0.1.1-127.0.1.2")
            async with rigs.rig(plan) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.READY] * 5
                peers = {
                    each.session.client_id: each._transport.get_extra_info("peername")[0]
                    for each in broker.connections
                    if each.session is not None and each._transport is not None
                }
        assert peers == {f"g-{n}": f"127.0.1.{n % 2 + 1}" for n in range(5)}

    run(scenario())


def test_the_port_is_chosen_when_connecting() -> None:
    with bound_socket(socket.AF_INET, "127.0.1.1") as raw:
        assert raw.getsockname() == ("127.0.1.1", 0), "a port taken at bind() is taken from all destinations"


def test_a_refused_connection_is_named_and_tried_again(rigs: Rigs, run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def scenario() -> None:
            group = {"reconnect": {**QUICK, "max_attempts": 2}}
            plan = rigs.plan(port, {"g": group}, source_addresses="127.0.1.1")
            async with rigs.rig(plan) as rig:
                await rig.connect()
                assert rig.phases() == [Phase.FAILED]
            assert rig.codes("connect_errors") == {"tcp:refused": 2}

        run(scenario())


def test_an_address_of_another_kind_reaches_nobody(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(OSError, match="no address of the same kind"):
            await dial_from(asyncio.get_running_loop(), asyncio.Protocol(), "127.0.1.1", "::1", 1)

    run(scenario())


class LookingUp:
    """A loop that notes what is looked up, and connects to nothing."""

    def __init__(self) -> None:
        self.looked_up: list[str] = []

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:  # noqa: ANN401
        self.looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    async def sock_connect(self, _raw: socket.socket, address: tuple[str, int]) -> None:
        assert address == ("127.0.0.1", 1)
        raise ConnectionRefusedError


def test_an_address_is_not_looked_up(run: Run) -> None:
    """To look one up is a thread's work for every connection, and the fleet has done it for each node."""

    async def scenario() -> None:
        loop = LookingUp()
        for host in ("127.0.0.1", "node.example"):
            with pytest.raises(ConnectionRefusedError):
                await dial_from(
                    cast("asyncio.AbstractEventLoop", loop), asyncio.Protocol(), "127.0.1.1", host, 1
                )
        assert loop.looked_up == ["node.example"]

    run(scenario())


def test_what_is_local() -> None:
    assert not_local("127.0.1.1") == ""
    assert "assign" in not_local(FOREIGN)
