"""Runs a contender as a process of its own, and reads what the kernel says of it."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
_PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    code: int
    cpu: float
    """CPU seconds of the process, all its threads, and the children it waited for."""
    output: str


def run(command: Sequence[str], feed: Callable[[subprocess.Popen[bytes]], None] | None = None) -> Ended:
    """Run a command to its end; `feed` may write to its standard input meanwhile.

    Raises:
        BenchmarkError: it cannot be started.
    """
    with tempfile.TemporaryFile() as output:
        process = start(command, output.fileno(), stdin=subprocess.PIPE if feed else subprocess.DEVNULL)
        try:
            if feed is not None:
                feed(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            ended = wait(process)
        output.seek(0)
        return Ended(ended.code, ended.cpu, output.read().decode(errors="replace"))


def start(command: Sequence[str], output: int, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a command in the project's folder; all it says goes to the descriptor `output`.

    Raises:
        BenchmarkError: it cannot be started.
    """
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=output, stderr=output, cwd=ROOT)
    except OSError as error:
        raise BenchmarkError(f"{command[0]}: {error.strerror or error}") from error


def wait(process: subprocess.Popen[bytes]) -> Ended:
    """Wait for the end of a process, and take its account from the kernel."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, usage.ru_utime + usage.ru_stime, "")


def rss(pid: int | str = "self") -> float:
    """Resident bytes of a process now."""
    return float(int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE)


def cpu_so_far(pid: int) -> float | None:
    """CPU seconds that a process has used, to the nanosecond; None where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
