"""The names of the files in a run's folder, and how their lines are read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENARIO = "scenario.yaml"
PLAN = "plan.json"
SNAPSHOTS = "snapshots.jsonl"
EVENTS = "events.jsonl"
BROKERS = "brokers.jsonl"
RESULT = "result.json"

_INTERVAL = re.compile(r'"interval":(-?\d+)')


def read_json(path: Path) -> dict[str, Any]:
    """Give the object that a file holds; empty when there is no such file.

    Raises:
        ConfigError: the file cannot be read, is damaged, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} does not hold an object")
    return content


def lines(path: Path) -> Iterator[str]:
    """Give the lines of a file, none when there is no such file."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except FileNotFoundError:
        return


def interval_of(line: str) -> int:
    """Read a snapshot line's interval without decoding its histograms.

    Raises:
        ValueError: the line has none.
    """
    found = _INTERVAL.search(line)
    if found is None:
        raise ValueError("no interval")
    return int(found[1])
