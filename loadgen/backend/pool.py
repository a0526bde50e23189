"""The coordinator's end: some number of workers, inline or as processes, spoken to as one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from loadgen.backend.framing import frame, read_message
from loadgen.backend.messages import Failed, Final, Message
from loadgen.backend.worker import Worker
from loadgen.engine.driver import NATIVE

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_CLOSE_GRACE = 5.0  # s a worker process gets to end by itself


class WorkerPool:
    """Starts workers, sends them messages and collects what they say in `messages`.

    A worker that ends without a Final says `Failed` through us, so that a dead worker is noticed at once.
    """

    def __init__(self, workers: int, *, inline: bool, driver: str = NATIVE) -> None:
        """Plan for `workers`; `inline` (one worker only) runs it in this process and loop.

        Processes run on the event loop of `driver`, one of `engine.driver.DRIVERS`.
        """
        if inline and workers != 1:
            raise ValueError("only one worker can run inline")
        self.workers = workers
        self._inline = inline
        self._driver = driver
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._processes: list[Process] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._final: set[int] = set()
        self.dead: set[int] = set()

    async def start(self) -> None:
        """Start the workers; they wait for their Setup."""
        if self._inline:
            worker = Worker(self._inbox, self.messages.put_nowait)
            self._tasks.append(asyncio.create_task(worker.run()))
            return
        for number in range(self.workers):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loadgen.backend.worker_main",
                self._driver,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 22,
                # A terminal's Ctrl-C goes to the coordinator alone, which then stops the workers in order.
                start_new_session=True,
            )
            self._processes.append(process)
            self._tasks.append(asyncio.create_task(self._listen(number, process)))

    def pids(self) -> list[int]:
        """Process ids of the worker processes; empty when inline."""
        return [process.pid for process in self._processes]

    def kill(self, number: int) -> None:
        """End a worker process at once; no `Failed` follows. An inline worker is left alone."""
        if not self._inline:
            self.dead.add(number)
            with contextlib.suppress(ProcessLookupError):
                self._processes[number].kill()

    def send(self, number: int, message: Message) -> None:
        """Tell one worker."""
        if self._inline:
            self._inbox.put_nowait(message)
            return
        stdin = self._processes[number].stdin
        if number not in self.dead and stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                stdin.write(frame(message))

    def broadcast(self, message: Message) -> None:
        """Tell every worker that lives."""
        for number in range(self.workers):
            self.send(number, message)

    async def close(self) -> None:
        """End every worker; those that do not end by themselves are killed."""
        if self._inline:
            self._inbox.put_nowait(None)
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        if self._processes:
            ends = [asyncio.create_task(process.wait()) for process in self._processes]
            _, late = await asyncio.wait(ends, timeout=_CLOSE_GRACE)
            for process in self._processes:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGKILL)
            if late:
                await asyncio.wait(late)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_GRACE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, number: int, process: Process) -> None:
        assert process.stdout is not None
        while (message := await read_message(process.stdout)) is not None:
            if isinstance(message, Final):
                self._final.add(number)
            if isinstance(message, Failed):
                self.dead.add(number)
            self.messages.put_nowait(message)
        code = await process.wait()
        if number not in self._final and number not in self.dead:
            self.dead.add(number)
            self.messages.put_nowait(Failed(number, f"worker {number} died ({_how(code)})"))


def _how(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
