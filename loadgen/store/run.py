"""A run read from disk, as an API (docs/reading-a-run.md)."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from loadgen.metrics.broker_sample import BrokerSample
from loadgen.metrics.catalog import CODES, METRICS
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.ledger_result import LedgerResult, WorstPair
from loadgen.metrics.snapshot import Snapshot, merge_time, merge_workers
from loadgen.store.distribution import Distribution
from loadgen.store.files import BROKERS, EVENTS, SCENARIO, SNAPSHOTS, interval_of, lines
from loadgen.store.index import SnapshotIndex, index_of, read_at
from loadgen.store.spans import Event, FaultSpan, StageSpan, event_of, fault_spans, stage_spans
from loadgen.store.sums import Span, overlaps, sums_by_stage
from loadgen.store.table import Row, row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """A run read from disk: of a run that goes on, or was killed, all that is there.

    Unless said otherwise durations are seconds, instants seconds since the start of the run, sizes bytes.
    """

    path: Path
    result: dict[str, Any]
    """`result.json`; empty when the run was killed before it could write one."""
    plan: dict[str, Any]
    """`plan.json`."""
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was read already: the folder of a run that has ended does not change."""

    # -- what it was -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str((self.result.get("scenario") or {}).get("name") or self.plan.get("scenario") or "")

    @property
    def scenario_yaml(self) -> str:
        """The scenario as run."""
        return (self.path / SCENARIO).read_text(encoding="utf-8")

    @property
    def scenario(self) -> dict[str, Any]:
        """The scenario as run, parsed; durations and rates are text with their unit."""
        return dict(yaml.safe_load(self.scenario_yaml) or {})

    @property
    def complete(self) -> bool:
        """Whether the run came to its end and wrote a result."""
        return bool(self.result)

    @property
    def started_at(self) -> datetime | None:
        """Start of the run, in UTC; None when nobody knows."""
        try:
            moment = datetime.fromisoformat(
                self.result.get("started_at") or self.plan.get("started_at") or ""
            )
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @property
    def duration(self) -> float:
        """Seconds from start to end; of a run that was killed to the end of its last interval."""
        known = self.result.get("duration")
        return float(known) if known is not None else self._times[1]

    @property
    def origin_ns(self) -> int:
        """The run's start as `monotonic_ns` of the machine that ran it: what `at` counts from."""
        return self._times[0]

    def at(self, ns: int) -> float:
        """Give a monotonic time of a snapshot or an event as seconds since the start of the run."""
        return (ns - self.origin_ns) / _SECOND

    # -- when ------------------------------------------------------------------------------------

    @property
    def stages(self) -> list[StageSpan]:
        """The stages that were entered, in order."""
        return stage_spans(self.result, self.history(), self.duration)

    @property
    def faults(self) -> list[FaultSpan]:
        """The faults and marks that were injected, with their windows."""
        return fault_spans(self.result, self.history(), self.duration)

    def events(self) -> list[dict[str, Any]]:
        """The lines of `events.jsonl` as they are, in the order of writing."""
        events = []
        for line in lines(self.path / EVENTS):
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events

    def history(self, kind: str | None = None) -> list[Event]:
        """Give the events, of one kind or all, with times in seconds since the start of the run."""
        origin = self.origin_ns
        return [event_of(each, origin) for each in self.events() if kind in (None, each.get("event"))]

    def broker_samples(self) -> list[BrokerSample]:
        """What the brokers said of themselves, in the order of time; empty when nobody asked them."""
        samples = []
        for line in lines(self.path / BROKERS):
            with contextlib.suppress(ValueError):
                samples.append(BrokerSample.from_json(line))
        return samples

    # -- what was measured -----------------------------------------------------------------------

    @property
    def span(self) -> range:
        """The numbers of the run's intervals, each a second long, from the first to the last."""
        known = self._index.places
        return range(min(known, default=0), max(known, default=-1) + 1)

    def snapshots(self, wanted: Callable[[int], bool] | None = None) -> Iterator[Snapshot]:
        """Every worker's intervals in the order of their arrival; a last line cut short is left out.

        Args:
            wanted: number of an interval → whether it is read; the others cost next to nothing.
        """
        for line in lines(self.path / SNAPSHOTS):
            with contextlib.suppress(ValueError):
                if wanted is None or wanted(interval_of(line)):
                    yield Snapshot.from_json(line)

    def intervals(self, wanted: Callable[[int], bool] | None = None) -> Iterator[Snapshot]:
        """One snapshot per interval and stage, added over the workers, in the order of time.

        One at a time, so that an hour needs no more memory than a minute.

        Args:
            wanted: as for `snapshots`.
        """
        where = self._index.places
        for interval in sorted(where):
            if wanted is None or wanted(interval):
                of_stages: dict[str, dict[int, list[Snapshot]]] = {}
                for snapshot in read_at(self.path / SNAPSHOTS, where[interval]):
                    of_workers = of_stages.setdefault(snapshot.stage, {})
                    of_workers.setdefault(snapshot.worker, []).append(snapshot)
                merged = [merge_workers(map(merge_time, parts.values())) for parts in of_stages.values()]
                yield from sorted(merged, key=lambda snapshot: (snapshot.start_ns, snapshot.end_ns))

    def timeline(self, wanted: Callable[[int], bool] | None = None) -> list[Snapshot]:
        """`intervals` as a list.

        Args:
            wanted: as for `snapshots`.
        """
        return list(self.intervals(wanted))

    def total(
        self, *, stage: str | None = None, between: Span | None = None, during: str | None = None
    ) -> Snapshot:
        """Give the sum of all intervals, or of some; histograms in nanoseconds, no gauges.

        Args:
            stage: a stage's name.
            between: start and end in seconds since the start of the run: the intervals whose middle lies in
                between. Intervals are one second long.
            during: name of a fault: the intervals whose middle lies in its window. The name of a fault that
                is repeated (`kill`) stands for all its repetitions (`kill#1`, `kill#2` …).

        Raises:
            KeyError: there is no such stage or fault.
        """
        return merge_time(self._parts(stage, between, during))

    def histogram(
        self,
        metric: str,
        group: str | None = None,
        *,
        stage: str | None = None,
        between: Span | None = None,
        during: str | None = None,
    ) -> Distribution:
        """Give the distribution of a metric in seconds; empty when nothing was recorded.

        `publish_latency` and `delivery_latency` are response times (from the intended time),
        `publish_service_time` counts from the write. Without selectors it is what `result.json` has under
        `metrics`.

        Args:
            metric: one of `loadgen.metrics.catalog.METRICS`.
            group: a group's name; all groups when left out.
            stage: as for `total`.
            between: as for `total`.
            during: as for `total`.

        Raises:
            KeyError: there is no such metric, group, stage or fault.
        """
        self._check(metric, "histogram", group)
        total = Histogram()
        for part in self._parts(stage, between, during):
            total += part.select(metric, group)
        return Distribution(total)

    def count(
        self,
        counter: str,
        group: str | None = None,
        *,
        stage: str | None = None,
        between: Span | None = None,
        during: str | None = None,
    ) -> int:
        """Give a counter, such as `published`, `acknowledged` or `received`; selectors as for `histogram`.

        Raises:
            KeyError: there is no such counter, group, stage or fault.
        """
        self._check(counter, "counter", group)
        return sum(part.count(counter, group) for part in self._parts(stage, between, during))

    def codes(
        self,
        family: str,
        group: str | None = None,
        *,
        stage: str | None = None,
        between: Span | None = None,
        during: str | None = None,
    ) -> dict[str, int]:
        """Give a family of counters by code, such as `connack_codes`; selectors as for `histogram`.

        Raises:
            KeyError: there is no such family (`loadgen.metrics.catalog.CODES`), group, stage or fault.
        """
        if family not in CODES:
            raise KeyError(f"no codes {family!r}; there are {', '.join(CODES)}")
        self._check(None, "counter", group)
        return merge_time(self._parts(stage, between, during)).codes(family, group)

    def table(self, group: str | None = None) -> list[Row]:
        """Give one row for each interval, in base units; what `pandas.DataFrame` takes as it is.

        Args:
            group: only this group's clients.
        """
        return list(self.rows(group))

    def rows(self, group: str | None = None) -> Iterator[Row]:
        """Give the rows of `table` one by one."""
        return (row for _, row in self.rows_of((group,)))

    def rows_of(self, groups: Sequence[str | None]) -> Iterator[tuple[str | None, Row]]:
        """Give the rows of several groups, and of all (None), in one pass: those of an interval together."""
        nodes = sorted(self._index.nodes)
        counts_bytes = any(part.count("bytes_sent") for part in self._stage_sums.values())
        for snapshot in self.intervals():
            for group in groups:
                shown = nodes if group is None else []
                yield group, row_of(snapshot, self.origin_ns, group, shown, counts_bytes=counts_bytes)

    @property
    def groups(self) -> list[str]:
        """The groups' names, in the scenario's order."""
        return list(self.plan.get("groups") or self.result.get("groups") or {})

    @property
    def metrics(self) -> list[str]:
        """The metrics of which anything was recorded."""
        names = {key.partition("|")[0] for each in self._stage_sums.values() for key in each.histograms}
        return sorted(names & METRICS.keys())

    @property
    def ledger(self) -> LedgerResult | None:
        """The delivery ledger of the whole run; None when there is none, as in a run that was killed."""
        content = self.result.get("ledger")
        if not content:
            return None
        known = {each.name for each in fields(LedgerResult)}
        kept = {key: value for key, value in content.items() if key in known}
        kept["worst"] = [_pair(each) for each in content.get("worst") or []]
        return LedgerResult(**kept)

    # -- how it is found -------------------------------------------------------------------------

    def _parts(self, stage: str | None, between: Span | None, during: str | None) -> list[Snapshot]:
        """The sums, by stage, of the intervals that are asked for."""
        sums = self._stage_sums
        names = [each.name for each in self.stages]
        if stage is not None and stage not in names:
            raise KeyError(f"no stage {stage!r} in this run; there are {', '.join(names)}")
        if between is not None or during is not None:
            windows = [(0.0, math.inf)] if during is None else self._windows(during)
            spans = overlaps(windows, between)
            sums = sums_by_stage(self.snapshots(lambda k: any(low <= k + 0.5 < high for low, high in spans)))
        return [part for name, part in sums.items() if stage in (None, name)]

    def _check(self, metric: str | None, kind: str, group: str | None) -> None:
        if metric is not None and (metric not in METRICS or METRICS[metric].kind != kind):
            names = ", ".join(name for name, each in METRICS.items() if each.kind == kind)
            raise KeyError(f"no {kind} {metric!r}; there are {names}")
        if metric is not None and METRICS[metric].source == "ledger":
            raise KeyError(f"{metric} is not counted second by second: see `ledger`")
        if group is not None and self.groups and group not in self.groups:
            raise KeyError(f"no group {group!r} in this run; there are {', '.join(self.groups)}")

    def _windows(self, fault: str) -> list[Span]:
        faults = self.faults
        found = [(each.start, each.end) for each in faults if fault in {each.name, each.name.split("#")[0]}]
        if not found:
            names = ", ".join(each.name for each in faults) or "none"
            raise KeyError(f"no fault {fault!r} was injected in this run; there are {names}")
        return found

    # -- read once -------------------------------------------------------------------------------

    @property
    def _stage_sums(self) -> dict[str, Snapshot]:
        if "sums" not in self._kept:
            self._kept["sums"] = sums_by_stage(self.snapshots())
        sums: dict[str, Snapshot] = self._kept["sums"]
        return sums

    @property
    def _index(self) -> SnapshotIndex:
        if "index" not in self._kept:
            self._kept["index"] = index_of(self.path / SNAPSHOTS)
        index: SnapshotIndex = self._kept["index"]
        return index

    @property
    def _times(self) -> tuple[int, float]:
        """The run's start (monotonic ns), and seconds from it to the end of its last interval."""
        if "times" not in self._kept:
            sums = self._stage_sums.values()
            ends = max((each.end_ns for each in sums), default=0)
            origin = self._origin(min((each.start_ns for each in sums), default=ends))
            self._kept["times"] = origin, max(ends - origin, 0) / _SECOND
        times: tuple[int, float] = self._kept["times"]
        return times

    def _origin(self, first_snapshot: int) -> int:
        """The first stage's event has the time in both clocks; a killed run's first stage starts at zero."""
        stages = self.result.get("stages") or [{}]
        for event in self.events():
            if event.get("event") == "stage":
                return int(event["ns"] - (stages[0].get("started_at_s") or 0.0) * _SECOND)
        return first_snapshot


def _pair(content: Mapping[str, Any]) -> WorstPair:
    numbers = {each.name: int(content.get(each.name) or 0) for each in fields(WorstPair) if each.compare}
    return WorstPair(**numbers, missing=[(start, stop) for start, stop in content.get("missing") or []])
