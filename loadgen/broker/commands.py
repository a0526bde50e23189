"""A command of the user's as a fault."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from loadgen.broker.faults import Step

LIMIT_S = 300.0
"""How long a command may take, seconds."""
_TAIL = 500


async def run_command(command: str, step: Step, limit_s: float = LIMIT_S) -> None:
    """Run a command line by /bin/sh and tell what it wrote last; the environment is ours.

    Whatever it started in its own process group ends when it takes too long or the run is broken off.

    Raises:
        BrokerError: it failed or took over the limit (seconds), with the end of its output.
    """
    with tempfile.TemporaryFile(prefix="loadgen-command-") as output:  # a pipe would wait for its children
        step("running", "", monotonic_ns())
        starting = asyncio.create_task(_start(command, output.fileno()))
        try:
            # Shielded: broken off half-way, a start would leave behind what the shell had started already.
            process = await asyncio.shield(starting)
            async with asyncio.timeout(limit_s):
                code = await process.wait()
        except (TimeoutError, asyncio.CancelledError) as error:
            process = await starting
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if isinstance(error, TimeoutError):
                what = f"the command took over {limit_s:g} s and was ended: {_tail(output.fileno())}"
                raise BrokerError(what, "let it go on in the background: COMMAND &") from None
            raise
        tail = _tail(output.fileno())
    step(f"exit code {code}: {tail}", "", monotonic_ns())
    if code:
        raise BrokerError(f"the command failed with exit code {code}: {tail}")


async def _start(command: str, output: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, _TAIL, max(0, size - _TAIL)).decode(errors="replace").strip()
    return text or "it wrote nothing"
