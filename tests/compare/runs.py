"""Runs on disk with latencies that are known beforehand, for comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from loadgen.metrics.histogram import Histogram
from loadgen.metrics.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
SCENARIO: dict[str, Any] = {
    "name": "known",
    "target": {"kind": "rabbitmq", "uris": ["mqtts://127.0.0.1:8883"]},
    "groups": {"a": {"clients": 5}, "b": {"clients": 5}},
    "stages": [{"name": "connect", "connect": "10/s"}, {"name": "steady", "hold": "30s"}],
    "thresholds": {"publish_latency": ["p99 < 1s"]},
}


@dataclass
class Known:
    """One run: a connect stage of 2 s and a hold stage in which nothing changes but by chance."""

    seed: int = 1
    seconds: int = 30
    latency_ms: float = 20.0
    spread: float = 0.1
    """How far single samples scatter, as a portion."""
    drift: float = 0.02
    """How far seconds scatter around the run, as a portion; each remembers the one before (0.6)."""
    lag_ms: float = 0.1
    rate: int = 200
    counters: dict[int, dict[str, int]] = field(default_factory=dict)
    """Second of the hold stage → counters of group a to add."""
    slow_group: str = ""
    """A group that is `slower` than the other."""
    slower: float = 1.0
    broker_cpu_ms: float = 0.0
    """CPU time of the broker for each message published; 0: nobody asked it."""
    scenario: dict[str, Any] = field(default_factory=lambda: SCENARIO)
    result: dict[str, Any] = field(default_factory=dict)
    """Keys of the result to replace."""

    def write(self, folder: Path) -> Path:
        """Write the run's folder and give it."""
        folder.mkdir(parents=True)
        (folder / "scenario.yaml").write_text(yaml.safe_dump(self.scenario), encoding="utf-8")
        (folder / "plan.json").write_text("{}", encoding="utf-8")
        (folder / "events.jsonl").write_text("", encoding="utf-8")
        lines = [snapshot.to_json() for snapshot in self.snapshots()]
        (folder / "snapshots.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        samples = [self._sample(second) for second in range(0, self.seconds + 2, 5)]
        if self.broker_cpu_ms:
            (folder / "brokers.jsonl").write_text("\n".join(samples) + "\n", encoding="utf-8")
        result = {
            "schema_version": 1,
            "verdict": "pass",
            "reasons": [],
            "run_id": folder.name,
            "scenario": {"name": "known"},
            "started_at": "2030-01-01T00:00:00+00:00",
            "duration": self.seconds + 2.0,
            "stages": [
                {"name": "connect", "kind": "connect", "started_at_s": 0.0, "duration": 2.0, "record": True},
                {"name": "steady", "kind": "hold", "started_at_s": 2.0, "duration": float(self.seconds)}
                | {"record": True},
            ],
            "ledger": {"ok": 1, "lost": 0},
            "faults": [],
            "broker": {"kind": "rabbitmq", "version": "4.3.6"},
        }
        (folder / "result.json").write_text(json.dumps(result | self.result), encoding="utf-8")
        return folder

    def _sample(self, second: int) -> str:
        spent = self.broker_cpu_ms / 1000 * self.rate * max(second - 2, 0)
        node = {"name": "n", "running": True, "memory": 100_000_000 + second, "cpu_seconds": 10.0 + spent}
        return json.dumps({"ns": second * SECOND, "answered": True, "nodes": [node]})

    def snapshots(self) -> list[Snapshot]:
        """One snapshot a second."""
        rng = np.random.default_rng(self.seed)
        found, level = [], 0.0
        for second in range(self.seconds):
            level = 0.6 * level + 0.8 * float(rng.normal())
            histograms = {"loop_lag|": Histogram([round(self.lag_ms * 1e6)] * 20)}
            counters: dict[str, int] = {}
            for group in ("a", "b"):
                factor = self.slower if group == self.slow_group else 1.0
                middle = self.latency_ms * 1e6 * factor * np.exp(self.drift * level)
                samples = (
                    (middle * np.exp(self.spread * rng.normal(size=self.rate // 2))).astype(int).tolist()
                )
                histograms[f"publish_latency|{group}"] = Histogram(samples)
                histograms[f"send_lag|{group}"] = Histogram([round(self.lag_ms * 1e6)] * 20)
                counters |= {f"published|{group}": self.rate // 2, f"acknowledged|{group}": self.rate // 2}
            for name, count in self.counters.get(second, {}).items():
                counters[f"{name}|a"] = counters.get(f"{name}|a", 0) + count
            start = (second + 2) * SECOND
            found.append(Snapshot(0, second + 2, start, start + SECOND, "steady", histograms, counters))
        return found
