"""Ends a run early when a threshold with `abort_on_fail` stays broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.metrics.durations import durations_of
from loadgen.metrics.snapshot import merge_time
from loadgen.metrics.threshold import evaluate, metric_name
from loadgen.metrics.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.metrics.tally import Tally
    from loadgen.scenario.thresholds import ThresholdSpec


class AbortWatch:
    """Holds the thresholds that may end the run against what was measured so far, once a second."""

    def __init__(self, specs: Sequence[ThresholdSpec]) -> None:
        """Watch those of `specs` that have `abort_after`."""
        self._specs = [spec for spec in specs if spec.abort_after is not None]
        self._broken_since: list[float | None] = [None] * len(self._specs)

    def second(self, tally: Tally, stages: Sequence[Mapping[str, Any]], now: float) -> str:
        """Judge what is known `now`.

        Args:
            tally: the sums so far.
            stages: `stages` of the result so far; the last one has no duration yet.
            now: seconds since the start of the run.

        Returns:
            Why the run is to end, or an empty text.
        """
        if not self._specs or not stages or stages[-1]["kind"] == "drain":
            return ""
        metrics = {metric_name(spec) for spec in self._specs}
        of_stages = {name: sums.snapshot(name, metrics) for name, sums in tally.stages.items()}
        totals = merge_time(of_stages.values())
        rows = evaluate(self._specs, totals, None, durations_of(stages, now), of_stages)
        for place, (spec, row) in enumerate(zip(self._specs, rows, strict=True)):
            # Without a sample yet nothing is broken; at the run's end that is judged as for all others.
            if row.verdict is not Verdict.FAIL:
                self._broken_since[place] = None
                continue
            since = self._broken_since[place]
            if since is None:
                since = self._broken_since[place] = now
            if now - since >= (spec.abort_after or 0.0):
                return f"{row.reason}, for {spec.abort_after:g}s (abort_on_fail)"
        return ""
