"""`histograms.hlog`: a run's latencies as a HdrHistogram log, which other people's viewers open.

The format is version 1.3 of http://hdrhistogram.org: a line for each interval and metric, tagged with the
metric's name, times in seconds, the interval's maximum in milliseconds, then the histogram (nanoseconds) in
the compressed V2 encoding.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loadgen.metrics.catalog import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.metrics.snapshot import Snapshot
    from loadgen.store import Run

HISTOGRAMS = "histograms.hlog"
_NAMES = tuple(name for name, metric in METRICS.items() if metric.kind == "histogram")


def write_histogram_log(run: Run) -> Path:
    """Write `histograms.hlog` into the run's folder, out of the snapshots there, and give its path.

    Raises:
        OSError: the folder cannot be written.
    """
    path = run.path / HISTOGRAMS
    draft = path.with_suffix(".hlog.part")
    with draft.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in _lines(run.intervals(), _started_at(run)))
    draft.replace(path)
    return path


def _started_at(run: Run) -> datetime:
    """When the run started; the epoch when nobody knows, so that times are still right among themselves."""
    text = run.result.get("started_at") or run.plan.get("started_at") or ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(intervals: Iterator[Snapshot], started_at: datetime) -> Iterator[str]:
    seconds = started_at.timestamp()
    yield "#[Histogram of nanoseconds for each interval and metric, written by loadgen]"
    yield "#[Histogram log format version 1.3]"
    yield f"#[StartTime: {seconds:.3f} (seconds since epoch), {started_at.isoformat(timespec='seconds')}]"
    yield f"#[BaseTime: {seconds:.3f} (seconds since epoch)]"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
    origin: int | None = None
    for snapshot in intervals:
        origin = snapshot.start_ns if origin is None else origin
        begin = (snapshot.start_ns - origin) / 1e9
        for name in _NAMES:
            histogram = snapshot.select(name)
            if histogram.count:
                encoded = histogram.to_hdr().encode().decode("ascii")
                yield f"Tag={name},{begin:.3f},{snapshot.seconds:.3f},{histogram.max / 1e6:.3f},{encoded}"
