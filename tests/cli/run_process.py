"""`loadgen` as a user starts it: a process in a group of its own, as a terminal makes it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 180.0
"""Only how long a broken test hangs: the machine may be very busy."""


class LoadgenProcess:
    """One command; a context manager that leaves no process behind."""

    def __init__(self, *arguments: str, cwd: Path, shell_prefix: str = "", **environment: str) -> None:
        self._arguments = arguments
        self._cwd = cwd
        self._prefix = shell_prefix
        self._environment = environment
        self.stderr: list[str] = []
        self.stdout = ""

    async def __aenter__(self) -> Self:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LOADGEN_")}
        environment |= {"PYTHONPATH": str(REPOSITORY), **self._environment}
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # In the background of a script, where these tests may run, it is ignored, and that is inherited.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command = [sys.executable, "-m", "loadgen", *self._arguments]
        if self._prefix:
            command = ["sh", "-c", f'{self._prefix}; exec "$@"', "sh", *command]
        self.process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._news = asyncio.Event()
        self._readers = asyncio.gather(self._read_stderr(), self._read_stdout())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._readers

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.stderr.append(line.decode().rstrip())
            self._news.set()

    async def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        self.stdout = (await self.process.stdout.read()).decode()

    async def says(self, text: str, times: int = 1) -> None:
        """Wait until lines on stderr with this text have come."""
        async with asyncio.timeout(PATIENCE_S):
            while sum(text in line for line in self.stderr) < times:
                assert self.process.returncode is None, self.stderr
                self._news.clear()
                await self._news.wait()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to every process of the foreground group."""
        os.killpg(self.process.pid, number)

    def children(self, word: str) -> list[int]:
        """Process ids of the direct children whose command line has the word."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(each) for each in listed if word in Path(f"/proc/{each}/cmdline").read_text()]

    async def end(self) -> int:
        """Wait for the end and give the exit code."""
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
            await self._readers
        assert "Traceback" not in "\n".join(self.stderr)
        return code


async def loadgen(*arguments: str, cwd: Path, shell_prefix: str = "", **environment: str) -> LoadgenProcess:
    """Run a command to its end."""
    async with LoadgenProcess(*arguments, cwd=cwd, shell_prefix=shell_prefix, **environment) as process:
        await process.end()
    return process


def result_of(cwd: Path) -> dict[str, Any]:
    """The result of the latest run below a working directory."""
    content: dict[str, Any] = json.loads((cwd / "runs/latest/result.json").read_text())
    return content


async def until_gone(pid: int, within_s: float) -> None:
    """Wait until a process that isn't our child has ended (a zombie that nobody reaps has).

    Raises:
        TimeoutError: it has not.
    """
    async with asyncio.timeout(within_s):
        while _lives(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # no event tells of the end of a process that isn't our child


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
