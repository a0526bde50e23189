"""Reads from the coordinator what is shown of each second."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.live.errors_by_cause import errors_by_cause
from loadgen.live.state import Health, LiveState, latency_of
from loadgen.live.timetable import Timetable

if TYPE_CHECKING:
    from loadgen.coordination.coordinator import Coordinator
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.scenario.model import Scenario


class StateReader:
    """Makes a `LiveState` of each second of one run."""

    def __init__(self, scenario: Scenario, clients: int) -> None:
        """Read for a run of `scenario` with so many clients."""
        self._limits = scenario.generator
        self._timetable = Timetable.of(scenario)
        self._clients = clients
        self._cpu: dict[int, tuple[float, int]] = {}

    def read(self, second: Snapshot, coordinator: Coordinator) -> LiveState:
        """What is shown of one second."""
        clock = coordinator.clock
        now = monotonic_ns()
        length = second.seconds or 1.0
        in_stage = max((now - clock.started) / 1e9, 0.0)
        left = max((clock.ends - now) / 1e9, 0.0) if clock.ends else None
        others = sum(map(second.count, ("foreign", "wills_received", "retained_received")))
        return LiveState(
            elapsed=(second.end_ns - coordinator.origin) / 1e9,
            stage=clock.name,
            stage_kind=clock.kind,
            stages=tuple(self._timetable.lengths),
            stage_elapsed=in_stage,
            stage_left=left,
            run_left=self._timetable.left(clock.name, in_stage),
            clients=self._clients,
            connected=int(second.gauge("connected")),
            published_rate=second.count("published") / length,
            acknowledged_rate=second.count("acknowledged") / length,
            delivered_rate=(second.count("received") - others) / length,
            publish=latency_of(second.select("publish_latency")),
            delivery=latency_of(second.select("delivery_latency")),
            inflight=int(second.gauge("inflight")),
            backlog=int(second.gauge("backlog")),
            errors=errors_by_cause(coordinator.tally.counters),
            faults=coordinator.faults.shown(now),
            health=self._health(second, coordinator),
        )

    def _health(self, second: Snapshot, coordinator: Coordinator) -> Health:
        tally = coordinator.tally
        return Health(
            send_lag=latency_of(second.select("send_lag")),
            loop_lag=latency_of(second.select("loop_lag")),
            cpu=self._busiest(coordinator),
            rss=second.gauge("rss"),
            workers=coordinator.workers,
            dropped=tally.count("dropped"),
            late=tally.count("late"),
            send_lag_limit=self._limits.send_lag / 1e9,
            loop_lag_limit=self._limits.loop_lag / 1e9,
        )

    def _busiest(self, coordinator: Coordinator) -> float | None:
        """CPU time of the busiest worker since the last look, in cores; None at the first look."""
        shares = []
        for worker, (at, gauges) in coordinator.tally.gauges_by_worker().items():
            used = gauges.get("cpu_seconds")
            if used is None:
                continue
            before = self._cpu.get(worker)
            self._cpu[worker] = used, at
            if before is not None and at > before[1]:
                shares.append((used - before[0]) / ((at - before[1]) / 1e9))
        return max(shares, default=None)
