"""Processes that outlive the command that started them: start, find again, signal, end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OWNER_VARIABLE = "LOADGEN_NODE_OF"
"""Environment variable of every process of a cluster: the folder of the cluster it belongs to."""

# The limit on open files bounds the clients a node can take, so it is raised as far as we may.
# The program is started in the background and its id printed, so that no process of ours waits for it.
_LAUNCHER = """\
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -H -n)"
log="$1"; shift
"$@" </dev/null >>"$log" 2>&1 &
echo $!
"""


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """One process, named so that a later process with the same id is never mistaken for it."""

    pid: int
    started: int
    """Start time in clock ticks since boot (field 22 of /proc/PID/stat); 0 where there is no /proc."""

    @classmethod
    def of(cls, pid: int) -> ProcessRef:
        """Name a process that runs now."""
        stat = _stat(pid)
        return cls(pid, stat[1] if stat else 0)

    def alive(self) -> bool:
        """Tell whether this very process still runs; one that ended and awaits its parent does not."""
        if not Path("/proc/self/stat").exists():
            return _signalable(self.pid)
        stat = _stat(self.pid)
        return stat is not None and stat[0] not in "ZX" and (not self.started or stat[1] == self.started)

    def state(self) -> str:
        """Give the kernel's letter for the process's state (`T` is stopped), empty when it is gone."""
        stat = _stat(self.pid) if self.alive() else None
        return stat[0] if stat else ""

    def usage(self) -> tuple[float, int] | None:
        """(CPU seconds so far, resident bytes), None when it is gone or there is no /proc."""
        fields = _fields(self.pid)
        if fields is None or (self.started and int(fields[19]) != self.started):
            return None
        ticks = int(fields[11]) + int(fields[12])  # in user and in kernel mode
        return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

    def send(self, signal_number: int) -> None:
        """Send a signal; a process that is gone is no error."""
        if self.alive():
            try:
                os.kill(self.pid, signal_number)
            except ProcessLookupError:
                return
            except PermissionError as error:
                raise BrokerError(
                    f"process {self.pid} of the cluster belongs to another user",
                    "run the command as the user who started the cluster",
                ) from error


def start_detached(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> ProcessRef:
    """Start a program in its own session with its output appended to a file.

    Args:
        argv: Program and arguments.
        environment: The whole environment; nothing is inherited.
        log: File for both output streams.

    Returns:
        The process.

    Raises:
        BrokerError: When no process could be started.
    """
    done = subprocess.run(  # noqa: S603 - callers pass programs of ours, never text from a file
        ["/bin/sh", "-c", _LAUNCHER, "launcher", str(log), *argv],
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    if not done.stdout.strip().isdigit():
        raise BrokerError(f"cannot start {argv[0]}: {done.stderr.strip() or 'no process id'}")
    return ProcessRef.of(int(done.stdout))


def wait_until(condition: Callable[[], bool], deadline_s: float, interval_s: float = 0.1) -> bool:
    """Ask again and again until the condition holds or the deadline (seconds from now) has passed."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(interval_s)
    return True


def end_all(processes: Sequence[ProcessRef], grace_s: float) -> list[ProcessRef]:
    """End processes together: SIGTERM, and SIGKILL for those that did not end within the grace time.

    Args:
        processes: The processes; those already gone are fine, paused ones are continued first.
        grace_s: Seconds between the two signals.

    Returns:
        Those that needed SIGKILL.
    """
    for process in processes:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)
    wait_until(lambda: not any(process.alive() for process in processes), grace_s)
    stubborn = [process for process in processes if process.alive()]
    for process in stubborn:
        process.send(signal.SIGKILL)
    wait_until(lambda: not any(process.alive() for process in stubborn), 10.0)
    return stubborn


def processes_of(owner: Path) -> list[ProcessRef]:
    """Find every live process that was started for a cluster, by its environment (Linux only)."""
    marker = f"{OWNER_VARIABLE}={owner}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = marker in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # another user's, or gone meanwhile
        process = ProcessRef.of(int(entry.name))
        if ours and process.alive():
            found.append(process)
    return found


def _stat(pid: int) -> tuple[str, int] | None:
    """Read state and start time."""
    fields = _fields(pid)
    return None if fields is None else (fields[0], int(fields[19]))


def _fields(pid: int) -> list[str] | None:
    """Read /proc/PID/stat from its third field on.

    The second, the program's name, may hold spaces and brackets, so cut after it.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _signalable(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
