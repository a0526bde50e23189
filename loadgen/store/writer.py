"""A run's folder while the run goes on: lines are flushed once a second."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from loadgen.errors import ConfigError
from loadgen.store.files import BROKERS, EVENTS, PLAN, RESULT, SCENARIO, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATEST = "latest"
"""Name of the link to the newest run."""


class RunWriter:
    """Writes one run's folder while the run goes on."""

    def __init__(self, runs: Path, name: str, scenario_yaml: str, plan: dict[str, Any]) -> None:
        """Make the folder and write what is known before the run.

        Raises:
            ConfigError: the folder cannot be made or written.
        """
        self._trouble: OSError | None = None
        now = datetime.now(UTC)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        try:
            runs.mkdir(parents=True, exist_ok=True)
            self.path = _fresh(runs, f"{stamp}-{re.sub(r'[^A-Za-z0-9._-]', '-', name)}")
            self.id = self.path.name
            (self.path / SCENARIO).write_text(scenario_yaml, encoding="utf-8")
            self._write_json(PLAN, plan | {"started_at": now.isoformat(timespec="milliseconds")})
            self._snapshots: TextIO = (self.path / SNAPSHOTS).open("a", encoding="utf-8")
            self._events: TextIO = (self.path / EVENTS).open("a", encoding="utf-8")
            # Tells `is_running` that somebody writes here; the system lets go of it however we end.
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._events, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"cannot write the run's folder in {runs}: {error.strerror or error}",
                "choose another with --runs",
            ) from error
        self._point_latest(runs)

    def _point_latest(self, runs: Path) -> None:
        link = runs / LATEST
        # A file system without links, or a folder of that name, is no reason to lose a run.
        with contextlib.suppress(OSError):
            temporary = runs / f".{LATEST}.{os.getpid()}"
            temporary.symlink_to(self.path.name)
            try:
                temporary.replace(link)
            except OSError:
                temporary.unlink()

    def snapshot(self, line: str) -> None:
        """Add one worker's interval, as `Snapshot.to_json` wrote it."""
        line = line + "\n"
        with self._keeping_trouble():
            self._snapshots.write(line)

    def event(self, event: dict[str, Any]) -> None:
        """Add one event."""
        line = json.dumps(event, separators=(",", ":"), default=str) + "\n"
        with self._keeping_trouble():
            self._events.write(line)

    def broker_sample(self, sample: dict[str, Any]) -> None:
        """Add what the brokers said of themselves; there is no file when they never did."""
        with self._keeping_trouble(), (self.path / BROKERS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(sample, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand all lines so far to the operating system."""
        with self._keeping_trouble():
            self._snapshots.flush()
            self._events.flush()

    def finish(self, result: dict[str, Any]) -> None:
        """Close the logs and write the result.

        Raises:
            ConfigError: the folder could not be written, now or at any time during the run.
        """
        with self._keeping_trouble():
            self._snapshots.close()
        with self._keeping_trouble():
            self._events.close()
        with self._keeping_trouble():
            self._write_json(RESULT, result)
        if self._trouble is not None:
            raise ConfigError(
                f"the run's folder {self.path} is not complete: {self._trouble.strerror or self._trouble}",
                "make room there, or choose another with --runs",
            )

    @contextlib.contextmanager
    def _keeping_trouble(self) -> Iterator[None]:
        """A disk that is full must not stop a run in its midst: clients are still to be disconnected."""
        try:
            yield
        except OSError as error:
            self._trouble = self._trouble or error

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        temporary = self.path / f".{name}"
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
        temporary.replace(self.path / name)


def _fresh(runs: Path, name: str) -> Path:
    for attempt in range(1000):
        path = runs / (name if not attempt else f"{name}-{attempt + 1}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise OSError(17, "too many runs of one name in one second")


def run_number() -> int:
    """A number that marks this run's messages: 64 bits of time and chance."""
    return (time.time_ns() & 0xFFFFFFFFFFFF) << 16 | int.from_bytes(os.urandom(2), "big")
