"""Issuing many certificates: here, or for large sets on all cores.

The other processes inherit the directory's lock and keep it until they end, so that whatever happens to this
one, no one else writes while they do. CA key and passwords reach them by file and pipe, never as arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from loadgen.errors import ConfigError, Problem, WorkerError
from loadgen.identity.manifest import Entry, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.identity.authority import Authority
    from loadgen.identity.identity import Password
    from loadgen.identity.request import ClientRequest

WORTH_A_PROCESS = 1000
"""Certificates for which starting a process pays: about a second's work."""
_BATCH = 50


def issue_many(
    authority: Authority,
    requests: Sequence[ClientRequest],
    *,
    lock: int,
    ca_password: Password | None = None,
    key_password: Password | None = None,
    processes: int | None = None,
) -> Iterator[Entry]:
    """Issue certificates whose names were checked, for the holder of the directory's lock.

    Args:
        authority: the CA.
        requests: all of different common names.
        lock: what `storage.exclusive` gave.
        ca_password: of the CA's key.
        key_password: for the clients' keys.
        processes: how many at once; by the size of the set and the number of cores when None.

    Yields:
        What was issued, in no particular order.

    Raises:
        ConfigError: files cannot be written.
        WorkerError: a process ended too early.
    """
    count = _processes(len(requests)) if processes is None else processes
    if count <= 1:
        for request in requests:
            yield entry_of(authority.issue_client(request, key_password), request)
        return
    setup = {
        "ca": str(authority.home),
        "directory": str(authority.directory),
        "intermediates": len(authority.cas.chain),
        "ca_password": ca_password.reveal() if ca_password is not None else None,
        "key_password": key_password.reveal() if key_password is not None else None,
    }
    batches = [requests[first : first + _BATCH] for first in range(0, len(requests), _BATCH)]
    yield from _spread(setup, batches, count, lock)


def _processes(count: int) -> int:
    return min(len(os.sched_getaffinity(0)), count // WORTH_A_PROCESS)


def _spread(
    setup: dict[str, Any], batches: list[Sequence[ClientRequest]], count: int, lock: int
) -> Iterator[Entry]:
    waiting: SimpleQueue[Sequence[ClientRequest]] = SimpleQueue()
    for batch in batches:
        waiting.put(batch)
    done: SimpleQueue[list[Entry] | BaseException] = SimpleQueue()
    helpers = [_Helper(setup | {"slot": number}, lock) for number in range(1, count + 1)]
    try:
        with ThreadPoolExecutor(count) as pool:
            try:
                for helper in helpers:
                    pool.submit(helper.work, waiting, done)
                for _ in batches:
                    result = done.get()
                    if isinstance(result, BaseException):
                        raise result
                    yield from result
            finally:
                # Interrupted: each finishes its batch and nothing more.
                with contextlib.suppress(Empty):
                    while True:
                        waiting.get_nowait()
    finally:
        for helper in helpers:
            helper.close()


class _Helper:
    """One process that issues, and the thread that feeds it."""

    def __init__(self, setup: dict[str, Any], lock: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadgen.identity.issuing_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[lock],
            start_new_session=True,  # a terminal's Ctrl-C goes to us, and we let them finish their batch
        )
        self._say(setup)

    def work(
        self,
        waiting: SimpleQueue[Sequence[ClientRequest]],
        done: SimpleQueue[list[Entry] | BaseException],
    ) -> None:
        """Have batches issued until none waits."""
        try:
            while True:
                batch = waiting.get_nowait()
                self._say([request.asked() for request in batch])
                done.put([Entry.from_row(row) for row in self._hear()])
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again where the results are awaited
            done.put(error)

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended before it had read all
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _say(self, value: object) -> None:
        assert self._process.stdin is not None
        # One that has ended may have said why, which is heard next.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _hear(self) -> list[Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError("a process that issues certificates ended too early", "run it again")
        answer: dict[str, Any] = json.loads(line)
        if "problems" in answer:
            raise ConfigError([Problem(*problem) for problem in answer["problems"]])
        rows: list[Any] = answer["issued"]
        return rows
