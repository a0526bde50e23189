"""A run on disk: written while it happens, read by everything that comes after.

`runs/<utc-time>-<name>/` holds `scenario.yaml`, `plan.json`, `snapshots.jsonl` (one line per worker and
interval), `events.jsonl`, and at the end `result.json`, `histograms.hlog` and `report.html`. Lines are
flushed once a second, so a killed run keeps all but its last second.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from loadgen.errors import ConfigError
from loadgen.metrics.snapshot import Snapshot, merge_time, merge_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCENARIO = "scenario.yaml"
PLAN = "plan.json"
SNAPSHOTS = "snapshots.jsonl"
EVENTS = "events.jsonl"
RESULT = "result.json"
LATEST = "latest"


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


@dataclass(frozen=True, slots=True)
class Run:
    """A run read from disk."""

    path: Path
    result: dict[str, Any]
    """`result.json`; empty when the run was killed before it could write one."""
    plan: dict[str, Any]
    """`plan.json`."""

    @property
    def scenario_yaml(self) -> str:
        """The scenario as run."""
        return (self.path / SCENARIO).read_text(encoding="utf-8")

    def snapshots(self, wanted: Callable[[int], bool] | None = None) -> Iterator[Snapshot]:
        """Every worker's intervals in the order of their arrival; a last line cut short is left out.

        Args:
            wanted: number of an interval → whether it is read; the others cost next to nothing.
        """
        for line in _lines(self.path / SNAPSHOTS):
            with contextlib.suppress(ValueError):
                if wanted is None or wanted(_interval_of(line)):
                    yield Snapshot.from_json(line)

    def timeline(self, wanted: Callable[[int], bool] | None = None) -> list[Snapshot]:
        """One snapshot per interval and stage, added over the workers, in the order of time.

        Args:
            wanted: as for `snapshots`.
        """
        grouped: dict[tuple[int, str], dict[int, list[Snapshot]]] = {}
        for snapshot in self.snapshots(wanted):
            of_workers = grouped.setdefault((snapshot.interval, snapshot.stage), {})
            of_workers.setdefault(snapshot.worker, []).append(snapshot)
        merged = [merge_workers(map(merge_time, parts.values())) for parts in grouped.values()]
        return sorted(merged, key=lambda snapshot: (snapshot.start_ns, snapshot.end_ns))

    def events(self) -> list[dict[str, Any]]:
        """What happened, in the order of writing."""
        events = []
        for line in _lines(self.path / EVENTS):
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events


def open_run(path: Path | str) -> Run:
    """Open a run's folder (or a `latest` link to one).

    Raises:
        ConfigError: there is no run, or its files are damaged.
    """
    folder = Path(path)
    if not (folder / SCENARIO).is_file():
        if folder.is_symlink() and not folder.exists():
            what = f"{folder} points to {folder.readlink()}, which is not there any more"
        elif not folder.exists():
            what = f"{folder} does not exist"
        else:
            what = f"{folder} is no run's folder: it holds no {SCENARIO}"
        raise ConfigError(what, "name the folder that a run wrote, such as runs/latest")
    folder = folder.resolve()
    return Run(folder, _read_json(folder / RESULT), _read_json(folder / PLAN))


def is_running(folder: Path) -> bool:
    """Whether a run writes into this folder at this moment, on this machine."""
    if (folder / RESULT).exists():
        return False
    try:
        with (folder / EVENTS).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_INTERVAL = re.compile(r'"interval":(-?\d+)')


def _interval_of(line: str) -> int:
    """Read a snapshot line's interval without decoding its histograms.

    Raises:
        ValueError: the line has none.
    """
    found = _INTERVAL.search(line)
    if found is None:
        raise ValueError("no interval")
    return int(found[1])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} does not hold an object")
    return content


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except FileNotFoundError:
        return


def run_number() -> int:
    """A number that marks this run's messages: 64 bits of time and chance."""
    return (time.time_ns() & 0xFFFFFFFFFFFF) << 16 | int.from_bytes(os.urandom(2), "big")
