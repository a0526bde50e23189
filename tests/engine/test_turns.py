"""A storm of handshakes: each step has a turn of the loop to itself, and all else goes on between them."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, cast

import pytest

from loadgen.engine.transport import Connection
from loadgen.engine.turns import Turns

if TYPE_CHECKING:
    from tests.engine.conftest import Run


class Silent:
    """An owner who hears only why it ended."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    def secured(self) -> None:
        raise AssertionError("no handshake ends here")

    def received(self, data: bytes) -> None:  # noqa: ARG002
        raise AssertionError("nothing is to be read here")

    def writable_again(self) -> None:
        pass

    def lost(self, cause: str) -> None:
        self.causes.append(cause)


class NoTransport:
    """A transport that leads nowhere."""

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_extra_info(self, name: str) -> None:  # noqa: ARG002
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Steps:
    """Stands for TLS: notes in which turn of the loop each step was taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turn = 0
        self.taken: list[int] = []
        self._loop = loop
        self._handle = loop.call_soon(self._tick)

    def _tick(self) -> None:
        self.turn += 1
        self._handle = self._loop.call_soon(self._tick)

    def stop(self) -> None:
        self._handle.cancel()

    def do_handshake(self) -> None:
        self.taken.append(self.turn)
        raise ssl.SSLWantReadError

    async def all_taken(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.taken) < count:  # noqa: ASYNC110 - turns of the loop are what is counted
                await asyncio.sleep(0)


def connected(steps: Steps, turns: Turns | None, owner: Silent) -> Connection:
    connection = Connection(owner, lambda *_: cast("ssl.SSLObject", steps), turns)
    connection.connection_made(cast("asyncio.BaseTransport", NoTransport()))
    return connection


STORM = 50


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_storm_takes_one_step_a_turn(run: Run, *, interleaved: bool) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        steps, turns = Steps(loop), Turns(loop) if interleaved else None
        others: list[int] = []
        connections = [connected(steps, turns, Silent()) for _ in range(STORM)]
        loop.call_soon(lambda: others.append(len(steps.taken)))
        await steps.all_taken(STORM)
        await asyncio.sleep(0)
        for each in connections:  # and the answers arrive all at once
            each.data_received(b"a part of a record")
            each.data_received(b"and another")
        waiting = 2 * STORM - len(steps.taken)
        await steps.all_taken(2 * STORM)
        steps.stop()
        if not interleaved:  # what the turns are for: without them all is done before anything else
            assert others == [STORM]
            return
        assert waiting == STORM, "two pieces wait for one step"
        assert len(steps.taken) == len(set(steps.taken)) == 2 * STORM, "two steps in one turn"
        assert others[0] <= 2, "the storm went first"

    run(scenario())


def test_what_came_before_the_end_is_looked_at_before_the_end_is_told(run: Run) -> None:
    class Alert(Steps):
        def do_handshake(self) -> None:
            super_step = super().do_handshake
            if self.taken:
                error = ssl.SSLError(1, "alert")
                error.reason = "TLSV1_ALERT_UNKNOWN_CA"
                raise error
            super_step()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        steps, owner = Alert(loop), Silent()
        connection = connected(steps, Turns(loop), owner)
        await steps.all_taken(1)
        connection.data_received(b"an alert")
        connection.connection_lost(None)
        steps.stop()
        assert owner.causes == ["tls:tlsv1_alert_unknown_ca"]
        await asyncio.sleep(0)
        assert len(owner.causes) == 1

    run(scenario())


def test_a_step_that_fails_holds_nobody_up(run: Run) -> None:
    done: list[str] = []

    class Step:
        def __init__(self, name: str) -> None:
            self.name = name

        def take_turn(self) -> None:
            done.append(self.name)
            if self.name == "bad":
                raise ValueError(self.name)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        turns = Turns(loop)
        for name in ("good", "bad", "last"):
            turns.wait(Step(name))
        async with asyncio.timeout(10):
            while len(done) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert [str(each) for each in told] == ["bad"]

    run(scenario())
    assert done == ["good", "bad", "last"]
