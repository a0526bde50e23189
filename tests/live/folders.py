"""The folder of a run that goes on: written second by second, as a test wants it."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tests.report.conftest import STAGES, full_timeline

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.metrics.snapshot import Snapshot

SECOND = 1_000_000_000
SCENARIO = """\
name: growing
description: A <b>run</b> that goes on.
target: {kind: embedded}
identities: {devices: {issue: {count: 300, common_name: "d{index}"}}}
groups:
  sensors: {clients: 300, identity: devices, publish: {topic: "t/{index}", qos: 1, rate: 1/s}}
stages:
  - {name: connect, connect: 100/s}
  - {name: warm-up, hold: 6s, record: false}
  - {name: steady, hold: 40s}
  - {name: drain, drain: 10s}
faults:
  - {name: kill, at: steady+5s, run: "true"}
thresholds:
  publish_latency: [p50 < 1s, p99 < 1ms]
  "publish_latency{during: kill}": [p99 < 8s]
  messages_lost: [count == 0]
"""


class GrowingRun:
    """A run's folder; `live(n)` writes the next n seconds of the good run of a minute."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.folder = folder
        self._seconds = [list(each) for _, each in groupby(full_timeline(), key=lambda s: s.interval)]
        self._place = 0
        folder.mkdir(exist_ok=True)
        (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        plan = {"workers": workers, "duration": 50.0, "publish_rate": 300.0, "clients": 300}
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    def live(self, seconds: int) -> None:
        starts = {sum(each[2] for each in STAGES[:place]): stage for place, stage in enumerate(STAGES)}
        for second in self._seconds[self._place : self._place + seconds]:
            if stage := starts.get(self._place):
                ns = SECOND * (self._place + 1)
                self.event({"ns": ns, "event": "stage", "stage": stage[0], "kind": stage[1]})
            for snapshot in second:
                self.snapshot(snapshot)
            self._place += 1

    def snapshot(self, snapshot: Snapshot) -> None:
        snapshot.worker = max(snapshot.worker, 0)
        with (self.folder / "snapshots.jsonl").open("a", encoding="utf-8") as file:
            file.write(snapshot.to_json() + "\n")

    def event(self, event: dict[str, Any]) -> None:
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def fault(self, phase: str, at: float, **more: Any) -> None:  # noqa: ANN401
        ns = int(SECOND * (1 + at))
        about = {"event": "fault", "fault": "kill", "number": 0, "kind": "kill"}
        self.event({"ns": ns, "phase": phase, **about, **more})

    def end(self, result: dict[str, Any]) -> None:
        (self.folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
