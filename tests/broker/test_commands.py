"""A command as a fault."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path

import pytest

from loadgen.broker.commands import run_command
from loadgen.broker.control import FaultOrder, open_control
from loadgen.broker.process import wait_until
from loadgen.errors import BrokerError
from tests.broker.faults_rig import Steps, TargetLike, Where


def test_a_command_line_is_the_shells_and_its_last_words_are_told() -> None:
    steps = Steps()
    asyncio.run(run_command("echo one; echo two >&2", steps))
    assert [what for what, _ in steps.words] == ["running", "exit code 0: one\ntwo"]


def test_a_command_that_fails_is_an_error_with_its_words() -> None:
    steps = Steps()
    with pytest.raises(BrokerError, match="failed with exit code 3: no such node"):
        asyncio.run(run_command("echo no such node; exit 3", steps))
    assert steps.words[-1] == ("exit code 3: no such node", "")


def test_a_silent_commands_background_process_is_not_waited_for() -> None:
    steps = Steps()
    asyncio.run(asyncio.wait_for(run_command("sleep 20 & ", steps), 10))
    assert steps.words[-1] == ("exit code 0: it wrote nothing", "")


def test_a_command_that_takes_too_long_is_ended_with_all_it_started() -> None:
    nap = a_nap()
    with pytest.raises(BrokerError, match=r"took over 0\.5 s and was ended: "):
        asyncio.run(run_command(f"echo waiting; {nap} & wait", Steps(), 0.5))
    assert wait_until(lambda: not running(nap), 20, 0.01)


def test_a_command_ends_when_the_run_is_broken_off() -> None:
    nap = a_nap()

    async def play() -> None:
        task = asyncio.create_task(run_command(f"{nap} & wait", Steps()))
        assert await asyncio.to_thread(wait_until, lambda: running(nap), 20, 0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert wait_until(lambda: not running(nap), 20, 0.01)


@pytest.mark.parametrize("turns", range(1, 6))
def test_a_command_ends_when_the_run_is_broken_off_while_it_starts(turns: int) -> None:
    nap = a_nap()

    async def play() -> None:
        task = asyncio.create_task(run_command(f"{nap} & wait", Steps()))
        for _ in range(turns):  # of the loop: it has hardly begun
            await asyncio.sleep(0)
        # The loop stands still, as on a busy machine, so the shell is further than the loop knows.
        wait_until(lambda: running(nap), 0.1, 0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert wait_until(lambda: not running(nap), 20, 0.01)


def a_nap() -> str:
    """A command that takes a minute and is like no other of this machine."""
    return f"sleep 60.{secrets.randbelow(10**9):09}"


def running(nap: str) -> bool:
    """Whether a process does it, or a shell that was told to do it."""
    words = nap.split()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if words[1] in (process / "cmdline").read_text():
                    return True
    return False


def test_any_target_can_have_a_command_and_it_is_healed_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    order = FaultOrder("run", command=f"echo broken >> {log}", heal_command=f"echo mended >> {log}")

    async def play() -> None:
        control = await open_control(TargetLike(kind="embedded"), None)
        assert control.kinds == {"run"}
        await control.heal(order, Steps())
        assert not log.exists()
        await control.inject(order, Steps())
        await control.heal(order, Steps())
        await control.heal(order, Steps())

    asyncio.run(play())
    assert log.read_text() == "broken\nmended\n"


def test_a_command_that_failed_half_way_is_healed_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "log"
    order = FaultOrder("run", command="exit 1", heal_command=f"echo mended >> {log}")

    async def play() -> None:
        control = await open_control(TargetLike([Where("127.0.0.1", 8883)]), None)
        with pytest.raises(BrokerError):
            await control.inject(order, Steps())
        await control.heal(order, Steps())

    asyncio.run(play())
    assert log.read_text() == "mended\n"


def test_a_fault_that_the_target_cannot_have_is_refused_in_words() -> None:
    async def play() -> None:
        control = await open_control(TargetLike([Where("127.0.0.1", 8883)]), None)
        assert control.kinds == {"run", "slow"}
        with pytest.raises(BrokerError, match="this target cannot have the fault kill"):
            await control.inject(FaultOrder("kill", ("127.0.0.1:8883",)), Steps())

    asyncio.run(play())
