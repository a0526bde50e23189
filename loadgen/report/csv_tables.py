"""A run as CSV files for spreadsheets and data frames: base units, and the column names say which."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from loadgen.metrics.summary import PERCENTILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from loadgen.store import Distribution, Run

_STATISTICS = ("mean", "min", *PERCENTILES, "max")
_PERCENTILE_COLUMNS = (
    "metric",
    "group",
    "stage",
    "samples",
    *(f"{name}_seconds" for name in _STATISTICS),
    "out_of_range_samples",
)
_TIME_COLUMNS = ("start_seconds", "length_seconds", "stage")
"""Of a timeline that has no row; a row knows its columns."""
_EVENT_COLUMNS = ("at_seconds", "event", "client_id", "group", "node", "details")
_SAMPLE_COLUMNS = (
    "at_seconds",
    "cluster_answered",
    "cluster_connections",
    "cluster_queues",
    "cluster_consumers",
    "cluster_messages_ready",
    "cluster_messages_unacknowledged",
    "node",
    "running",
    "memory_bytes",
    "memory_limit_bytes",
    "resident_bytes",
    "cpu_seconds",
    "connections",
    "file_descriptors",
    "processes",
    "run_queue",
    "gc_runs",
    "disk_free_bytes",
    "alarms",
)
_FAULT_COLUMNS = (
    "name",
    "kind",
    "target",
    "nodes",
    "outcome",
    "injected_at_seconds",
    "healed_at_seconds",
    "recovered_at_seconds",
    "window_start_seconds",
    "window_end_seconds",
    "affected_clients",
    "not_back_outages",
    "fleet_down_seconds",
    "baseline_per_second",
    "reconnect_p50_seconds",
    "reconnect_p99_seconds",
    "reconnect_max_seconds",
    "lost_messages",
    "duplicate_messages",
)


def write_csv(run: Run, folder: Path) -> list[Path]:
    """Write the tables into a folder and give their paths.

    `timeline.csv` has a row for each interval, `timeline_by_group.csv` for each interval and group,
    `percentiles.csv` for each metric, of the run, of each group and of each stage, `events.csv` for each
    event, `faults.csv` for each fault, `brokers.csv` for each sample of a broker. Cells are empty where
    nothing was measured.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, tuple[Sequence[str], Iterable[Mapping[str, Any]]]] = {
        "percentiles": (_PERCENTILE_COLUMNS, _percentiles(run)),
        "events": (_EVENT_COLUMNS, _events(run)),
        "brokers": (_SAMPLE_COLUMNS, _brokers(run)),
        "faults": (_FAULT_COLUMNS, map(_fault, run.result.get("faults") or [])),
    }
    written = _timelines(run, folder)
    for name, (columns, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            table = _Table(file, columns)
            for row in rows:
                table.write(row)
        written.append(folder / f"{name}.csv")
    return written


def _timelines(run: Run, folder: Path) -> list[Path]:
    """Write both timelines in one pass: decoding an hour's histograms takes a while."""
    paths = [folder / "timeline.csv", folder / "timeline_by_group.csv"]
    with (
        paths[0].open("w", encoding="utf-8", newline="") as whole,
        paths[1].open("w", encoding="utf-8", newline="") as by_group,
    ):
        of_all, of_groups = _Table(whole, _TIME_COLUMNS), _Table(by_group, ("group", *_TIME_COLUMNS))
        for group, row in run.rows_of((None, *run.groups)):
            if group is None:
                of_all.write(row)
            else:
                of_groups.write({"group": group, **row})
    return paths


class _Table:
    """A CSV file with a header: that of its first row, or the one for a table without rows."""

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._writer: csv.DictWriter[str] | None = None
        # Written over by the first row's, which begins with the same.
        file.write(",".join(columns) + "\n")

    def write(self, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            self._file.seek(0)
            self._file.truncate()
            self._writer = csv.DictWriter(self._file, list(row), lineterminator="\n")
            self._writer.writeheader()
        self._writer.writerow(row)


def _percentiles(run: Run) -> Iterator[dict[str, Any]]:
    """Rows of the run, then of each group, then of each stage; what has no sample has no row."""
    for metric in run.metrics:
        scopes: list[tuple[str, str, Distribution]] = [("", "", run.histogram(metric))]
        scopes += [(group, "", run.histogram(metric, group)) for group in run.groups]
        scopes += [("", stage.name, run.histogram(metric, stage=stage.name)) for stage in run.stages]
        for group, stage, found in scopes:
            if found:
                summary = found.summary()
                yield {
                    "metric": metric,
                    "group": group,
                    "stage": stage,
                    "samples": found.count,
                    **{f"{name}_seconds": _digits(summary[name]) for name in _STATISTICS},
                    "out_of_range_samples": found.out_of_range,
                }


def _digits(seconds: float | None) -> float | None:
    """To the nanosecond: further digits are those of binary fractions."""
    return None if seconds is None else round(seconds, 9)


def _events(run: Run) -> Iterator[dict[str, Any]]:
    for event in run.history():
        yield {
            "at_seconds": round(event.at, 6),
            "event": event.kind,
            "client_id": event.client_id,
            "group": event.group,
            "node": event.node,
            "details": json.dumps(dict(event.details), ensure_ascii=False) if event.details else "",
        }


def _brokers(run: Run) -> Iterator[dict[str, Any]]:
    for sample in run.broker_samples():
        cluster = {
            column: getattr(sample, column.removeprefix("cluster_"))
            for column in _SAMPLE_COLUMNS
            if column.startswith("cluster_")
        }
        for node in sample.nodes:
            yield {
                "at_seconds": round(run.at(sample.ns), 6),
                **cluster,
                "node": node.name,
                "running": node.running,
                "memory_bytes": node.memory,
                "memory_limit_bytes": node.memory_limit,
                "resident_bytes": node.resident,
                "cpu_seconds": node.cpu_seconds,
                "connections": node.connections,
                "file_descriptors": node.file_descriptors,
                "processes": node.processes,
                "run_queue": node.run_queue,
                "gc_runs": node.gc_runs,
                "disk_free_bytes": node.disk_free,
                "alarms": " ".join(node.alarms),
            }


def _fault(fault: Mapping[str, Any]) -> dict[str, Any]:
    window, ledger, reconnect, outage, rate = (
        fault.get(key) or {} for key in ("window", "ledger", "reconnect", "outage", "rate")
    )
    return {
        "name": fault.get("name") or fault.get("kind"),
        "kind": fault.get("kind"),
        "target": fault.get("target"),
        "nodes": " ".join(str(node) for node in fault.get("nodes") or []),
        "outcome": fault.get("outcome"),
        **{f"{key}_seconds": fault.get(key) for key in ("injected_at", "healed_at", "recovered_at")},
        "window_start_seconds": window.get("start"),
        "window_end_seconds": window.get("end"),
        "affected_clients": fault.get("affected"),
        "not_back_outages": fault.get("not_back"),
        "fleet_down_seconds": outage.get("seconds"),
        "baseline_per_second": rate.get("baseline"),
        **{f"reconnect_{name}_seconds": _digits(reconnect.get(name)) for name in ("p50", "p99", "max")},
        "lost_messages": ledger.get("lost"),
        "duplicate_messages": ledger.get("duplicate"),
    }
