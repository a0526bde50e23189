"""Finds the snapshots of one interval in a long file, so that a run can be read one interval at a time."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadgen.metrics.snapshot import Snapshot
from loadgen.store.files import interval_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_NODE = re.compile(r'"connected_node\|([^"]+)"')


@dataclass(frozen=True, slots=True)
class SnapshotIndex:
    """What is in `snapshots.jsonl`, and where."""

    places: dict[int, list[int]] = field(default_factory=dict)
    """Interval → where its lines begin, bytes from the start."""
    nodes: set[str] = field(default_factory=set)
    """The nodes that clients were counted on, `host:port`."""


def index_of(path: Path) -> SnapshotIndex:
    """Read through a file of snapshots without decoding them; empty when there is no file."""
    index = SnapshotIndex()
    at = 0
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            text = line.decode("utf-8", "replace")
            with contextlib.suppress(ValueError):
                index.places.setdefault(interval_of(text), []).append(at)
            index.nodes.update(_NODE.findall(text))
            at += len(line)
    return index


def read_at(path: Path, places: Iterable[int]) -> Iterator[Snapshot]:
    """Read the snapshots that begin at these places; a last line cut short is left out."""
    if not places:
        return
    with path.open("rb") as file:
        for place in places:
            file.seek(place)
            with contextlib.suppress(ValueError):
                yield Snapshot.from_json(file.readline().decode("utf-8"))
