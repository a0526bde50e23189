"""A drawn chart with the words that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.report.plots import Line


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart with the words that go with it."""

    key: str
    title: str
    note: str
    """What it shows, in one sentence."""
    plot: Any
    """A bokeh figure."""
    lines: tuple[Line, ...]
    section: str = "time"
    """Where it belongs on the page: `time`, `latency`, `connecting`, `generator`, `broker`, `fault_0` …"""
    summary: str = ""
    """What is to be seen, in words and figures, for readers who do not see it."""
    table: str = ""
    """Unit of the lines (`latency`, `rate`, `number` …), when they stand in one table over time."""

    def legend(self) -> list[tuple[str, str, str, str]]:
        """Give for each line: the name the script knows, its words, colour and a key of `plots.DASHES`."""
        return [(line.tag(self.key), line.name, line.colour, line.dash) for line in self.lines]
