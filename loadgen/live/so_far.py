"""What can be said of a run while it goes on: its stages, its faults, how it stands with its thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.metrics.catalog import METRICS
from loadgen.metrics.snapshot import Snapshot, merge_time
from loadgen.metrics.threshold import RUN, evaluate
from loadgen.metrics.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loadgen.metrics.threshold import ThresholdResult
    from loadgen.scenario.model import Scenario

_TIMES = {"injecting": "injected_at", "marked": "injected_at", "healed": "healed_at"}
"""Phase of a fault's event → the key of `faults[]` that it gives."""


class SoFar:
    """Follows a run's events; times are in seconds since its start."""

    def __init__(self, scenario: Scenario) -> None:
        """Nothing has happened yet."""
        self._specs = scenario.parsed_thresholds()
        self._records = {stage.name: stage.record for stage in scenario.stages}
        self._loads = {stage.name: str(stage.load) for stage in scenario.stages if stage.kind == "hold"}
        self._limits = scenario.generator
        self._lengths = {stage.name: (stage.hold or 0) / 1e9 for stage in scenario.stages}
        self._origin: int | None = None
        self._stages: list[dict[str, Any]] = []
        self._faults: dict[int, dict[str, Any]] = {}

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take events as `events.jsonl` has them."""
        for event in events:
            if event.get("event") == "stage":
                self._stage(event)
            elif event.get("event") == "fault" and self._origin is not None:
                self._fault(event, (event["ns"] - self._origin) / 1e9)

    def _stage(self, event: Mapping[str, Any]) -> None:
        at = event["ns"]
        # The first stage begins with the run.
        self._origin = self._origin or at
        start = (at - self._origin) / 1e9
        if self._stages:
            self._stages[-1]["duration"] = start - self._stages[-1]["started_at_s"]
        name = event["stage"]
        self._stages.append(
            {
                "name": name,
                "kind": event["kind"],
                "record": self._records.get(name, True),
                "started_at_s": start,
                "duration": None,
                "load": self._loads.get(name),
            }
        )

    def _fault(self, event: Mapping[str, Any], at: float) -> None:
        fault = self._faults.setdefault(
            event["number"], {"name": event["fault"], "kind": event["kind"], "window": {}}
        )
        phase = event["phase"]
        if phase in _TIMES:
            fault[_TIMES[phase]] = at
        if phase in {"injecting", "marked"}:
            fault["window"] = {"start": at, "end": None}
        if phase == "closed":
            fault["window"] = {"start": fault["window"].get("start", at), "end": at}
            if event.get("by") == "recovery":
                fault["recovered_at"] = at

    def result(self, now: float) -> dict[str, Any]:
        """Give what charts want to know of a result: the stages and faults as they are `now`.

        The stage that goes on ends when it is planned to, or now; so does the window of an open fault.
        """
        stages = [dict(stage) for stage in self._stages]
        if stages and stages[-1]["duration"] is None:
            running = stages[-1]
            running["duration"] = max(
                self._lengths.get(running["name"], 0.0), now - running["started_at_s"], 0.1
            )
        faults = [
            fault | {"window": {"start": window["start"], "end": window["end"] or now}}
            for fault in self._faults.values()
            if (window := fault["window"])
        ]
        limits = {"send_lag": self._limits.send_lag / 1e9, "loop_lag": self._limits.loop_lag / 1e9}
        return {"stages": stages, "faults": faults, "generator": {"limits": limits}}

    @property
    def shape(self) -> tuple[Any, ...]:
        """Changes whenever something is to be marked on the charts that was not there."""
        marks = [
            (number, sorted(fault), fault["window"].get("end")) for number, fault in self._faults.items()
        ]
        return len(self._stages), marks

    def thresholds(self, by_stage: Mapping[str, Snapshot], now: float) -> list[ThresholdResult]:
        """Hold the thresholds against the sums so far; what is known at the end only has no value."""
        totals = merge_time(by_stage.values())
        durations = {RUN: 0.0}
        for stage in self.result(now)["stages"]:
            length = min(stage["duration"], max(now - stage["started_at_s"], 0.0))
            durations[stage["name"]] = length
            if stage["kind"] == "hold" and stage["record"]:
                durations[RUN] += length
        return evaluate(self._specs, totals, None, durations, dict(by_stage))

    def saturated(self, by_stage: Mapping[str, Snapshot]) -> list[str]:
        """Which of the generator's lags are beyond their limit over the whole run so far, in words."""
        totals = merge_time(by_stage.values())
        found = []
        for name, limit in (("send_lag", self._limits.send_lag), ("loop_lag", self._limits.loop_lag)):
            histogram = totals.select(name)
            if histogram.count and histogram.percentile(99.0) > limit:
                milliseconds = histogram.percentile(99.0) / 1e6
                found.append(f"{name} p99 is {milliseconds:.1f} ms, and {limit / 1e6:g} ms is the limit")
        return found


def standing(thresholds: Iterable[ThresholdResult], saturated: Iterable[str]) -> tuple[str, list[str]]:
    """Say how a run stands: a verdict's word, as it would be now, and the reasons.

    Thresholds that cannot be held against anything yet say nothing.
    """
    reasons = [each.reason for each in thresholds if each.verdict is Verdict.FAIL and each.level != "warn"]
    generator = [f"the generator is the bottleneck: {each}" for each in saturated]
    if generator:
        return "invalid", generator + reasons
    return ("fail", reasons) if reasons else ("pass", [])


def known_at_the_end(result: ThresholdResult) -> bool:
    """Whether a threshold can be judged at the end only: the ledger, and what is about a fault."""
    bare, brace, selector = result.metric.partition("{")
    about_fault = bool(brace) and any(word in selector for word in ("during:", "after:"))
    return METRICS[bare].source not in {"group", "worker"} or about_fault
