"""Percentile distributions in HdrHistogram's text format, which its plotters read: one `.hgrm` file a metric.

Lines of value, percentile, total count and 1/(1-percentile), five for each halving of the distance to 100 %.
Values are milliseconds, as other load generators have them.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from loadgen.metrics.histogram import DIGITS, highest_at, lowest_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.metrics.histogram import Histogram
    from loadgen.store import Run

TICKS = 5
"""Lines for each halving of the distance to 100 %: HdrHistogram's default."""
_MILLISECOND = 1e6
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def write_hgrm(run: Run, folder: Path) -> list[Path]:
    """Write `<metric>.hgrm` for each metric with samples, and `<metric>.<group>.hgrm` where groups differ.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for metric in run.metrics:
        whole = run.histogram(metric).histogram
        named = {metric: whole}
        of_groups = {group: run.histogram(metric, group).histogram for group in run.groups}
        of_groups = {group: found for group, found in of_groups.items() if found.count}
        if len(of_groups) > 1:
            named |= {f"{metric}.{_UNSAFE.sub('-', group)}": found for group, found in of_groups.items()}
        for name, histogram in named.items():
            if histogram.count:
                path = folder / f"{name}.hgrm"
                path.write_text(render(histogram), encoding="ascii")
                written.append(path)
    return written


def render(histogram: Histogram) -> str:
    """Give the text of a `.hgrm` file."""
    head = f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n"
    mean, deviation, largest = (
        value / _MILLISECOND for value in (histogram.mean, _deviation(histogram), histogram.max)
    )
    tail = (
        f"#[Mean    = {mean:12.{DIGITS}f}, StdDeviation   = {deviation:12.{DIGITS}f}]",
        f"#[Max     = {largest:12.{DIGITS}f}, Total count    = {histogram.count:12d}]",
        "#[Unit    = milliseconds]",
    )
    return "\n".join((head, *_lines(histogram), *tail, ""))


def _lines(histogram: Histogram) -> Iterator[str]:
    for percent, value, seen in _steps(histogram):
        line = f"{value / _MILLISECOND:12.{DIGITS}f} {percent / 100:2.12f} {seen:10d}"
        yield line if percent == 100 else f"{line} {100 / (100 - percent):14.2f}"


def _steps(histogram: Histogram) -> Iterator[tuple[float, int, int]]:
    """Percentile, value (ns), samples up to it: the steps that HdrHistogram's iterator takes."""
    percent, seen = 0.0, 0
    for index in sorted(histogram.counts):
        if not histogram.counts[index]:
            continue
        seen += histogram.counts[index]
        value = min(highest_at(index), histogram.max)
        while 100.0 * seen / histogram.count >= percent:
            yield percent, value, seen
            halvings = math.floor(math.log2(100 / (100 - percent))) + 1
            percent += 100.0 / (TICKS * 2**halvings)
            if seen == histogram.count:
                yield 100.0, value, seen
                return


def _deviation(histogram: Histogram) -> float:
    """The standard deviation in ns, from the middles of the buckets, as HdrHistogram has it."""
    if not histogram.count:
        return 0.0
    squares = sum(
        count * ((lowest_at(index) + lowest_at(index + 1)) / 2 - histogram.mean) ** 2
        for index, count in histogram.counts.items()
    )
    return math.sqrt(squares / histogram.count)
