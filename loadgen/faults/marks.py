"""Marks: what somebody else does to the cluster while a run goes on, told by `loadgen mark`.

They come through a file in the run's folder, one line of JSON each, and carry the monotonic clock's time,
which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MARKS = "marks.jsonl"
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark."""

    ns: int
    """When it was made, monotonic ns."""
    text: str
    at_least: int = 0
    """How long its window stays open at least, ns."""


def write_mark(folder: Path, text: str, at_least: int = 0) -> Mark:
    """Add a mark to a running run's folder."""
    mark = Mark(monotonic_ns(), text[:LONGEST_TEXT], at_least)
    line = json.dumps({"ns": mark.ns, "text": mark.text, "at_least": mark.at_least}) + "\n"
    # One write in append mode: marks of two people at the same moment do not mix.
    descriptor = os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    return mark


class MarkReader:
    """Reads marks as they come; costs one `stat` a look."""

    def __init__(self, folder: Path) -> None:
        """Read what stands in a folder's file from its beginning."""
        self._path = folder / MARKS
        self._read = 0

    def new(self) -> list[Mark]:
        """Give the marks since the last look; a line that is not whole yet is left for the next one."""
        try:
            if self._path.stat().st_size <= self._read:
                return []
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read += len(whole) + 1 if whole else 0
        return [mark for line in whole.splitlines() if (mark := _parse(line)) is not None]


def _parse(line: bytes) -> Mark | None:
    try:
        content = json.loads(line)
        return Mark(int(content["ns"]), str(content["text"])[:LONGEST_TEXT], int(content.get("at_least", 0)))
    except (ValueError, TypeError, KeyError):
        # Written by hand or damaged: no reason to end a run.
        return None
