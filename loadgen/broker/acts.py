"""Work that waits (signals, tools, processes) done beside the event loop, with its steps told to the loop."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.broker.faults import Step

# Threads of its own: several that wait for nodes must not use up those that everybody shares.
_THREADS = ThreadPoolExecutor(32, "node-control")


@dataclass(frozen=True, slots=True)
class Act:
    """What goes on in a thread, as the loop's thread hears of it."""

    step: Step
    given_up: threading.Event = field(default_factory=threading.Event)
    """Nobody waits for the end any more."""


async def in_thread(work: Callable[..., None], names: Sequence[str], step: Step, *arguments: object) -> None:
    """Run `work(names, act, *arguments)` in a thread and pass its steps on to the loop, in their order."""
    loop = asyncio.get_running_loop()

    def tell(what: str, node: str, at: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(step, what, node, at)

    act = Act(tell)
    try:
        await loop.run_in_executor(_THREADS, work, names, act, *arguments)
    finally:
        act.given_up.set()


def run_tool(argv: Sequence[str], limit_s: float) -> str:
    """Run a program and give its output; call it in a thread.

    Raises:
        BrokerError: it is not there, failed, or took longer than the limit (seconds).
    """
    try:
        done = subprocess.run(  # noqa: S603 - callers pass programs of ours
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            start_new_session=True,  # Ctrl-C is for the run, which still has to heal what it did
            check=False,
        )
    except FileNotFoundError:
        raise BrokerError(f"the program {argv[0]} is not on PATH", "install it") from None
    except subprocess.TimeoutExpired:
        raise BrokerError(f"`{_shown(argv)}` took over {limit_s:g} s", "does the node answer?") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise BrokerError(f"`{_shown(argv)}` failed: {words or f'exit code {done.returncode}'}")
    return done.stdout


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) <= 100 else f"{text[:99]}…"
