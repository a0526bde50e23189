"""Reads a run's folder while it is being written: each second once it is complete, and each event."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from loadgen.metrics.snapshot import Snapshot, merge_time, merge_workers
from loadgen.store.files import EVENTS, PLAN, RESULT, SNAPSHOTS

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 3
"""Intervals that others may be ahead of a worker before it is taken for lost."""


class LineTail:
    """The lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        """Begin at the file's start; it need not be there yet."""
        self._path = path
        self._place = 0

    def new(self) -> list[str]:
        """Give whole lines; one that is being written comes the next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return whole.decode("utf-8", errors="replace").splitlines()


class RunTail:
    """The run in a folder as it grows."""

    def __init__(self, folder: Path) -> None:
        """Read from the start."""
        self._folder = folder
        self._snapshots = LineTail(folder / SNAPSHOTS)
        self._events = LineTail(folder / EVENTS)
        self._open: dict[int, dict[tuple[int, str], list[Snapshot]]] = {}
        self._newest: dict[int, int] = {}
        self.plan = _object(folder / PLAN)
        """`plan.json`."""

    @property
    def workers(self) -> int:
        """How many workers there are to wait for."""
        return max(int(self.plan.get("workers") or 1), 1)

    def seconds(self, *, last: bool = False) -> list[list[Snapshot]]:
        """Give the intervals that are complete now, in order; of each the parts that stages make.

        Args:
            last: the run has ended, so that nothing more will come.
        """
        for line in self._snapshots.new():
            with contextlib.suppress(ValueError):
                found = Snapshot.from_json(line)
                self._open.setdefault(found.interval, {}).setdefault((found.worker, found.stage), []).append(
                    found
                )
                self._newest[found.worker] = max(found.interval, self._newest.get(found.worker, -1))
        done = [interval for interval in sorted(self._open) if last or self._complete(interval)]
        return [_parts(self._open.pop(interval)) for interval in done]

    def _complete(self, interval: int) -> bool:
        """Whether every worker has left it behind, or was lost."""
        reached = [newest for newest in self._newest.values() if newest > interval]
        ahead = max(self._newest.values(), default=-1) - interval
        return len(reached) >= self.workers or ahead > _PATIENCE

    def events(self) -> list[dict[str, Any]]:
        """Give the events that were added."""
        found = []
        for line in self._events.new():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def result(self) -> dict[str, Any]:
        """Give `result.json`; empty while there is none."""
        return _object(self._folder / RESULT)


def _parts(found: dict[tuple[int, str], list[Snapshot]]) -> list[Snapshot]:
    """Add up the workers of one interval, for each stage that it has a part of."""
    by_stage: dict[str, list[Snapshot]] = {}
    for (_, stage), snapshots in found.items():
        by_stage.setdefault(stage, []).append(merge_time(snapshots))
    merged = [merge_workers(parts) for parts in by_stage.values()]
    return sorted(merged, key=lambda snapshot: (snapshot.start_ns, snapshot.end_ns))


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
