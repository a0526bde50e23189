"""What the coordinator itself costs: its CPU to merge, write and show 20 workers' snapshots a second.

`python -m benchmarks.coordinator [WORKERS] [GROUPS] [SAMPLES]`: synthetic snapshots of WORKERS workers with
GROUPS groups, each with SAMPLES samples a second in every message histogram, go through what the coordinator
does with real ones (unpickle, tally, store, live view); prints the CPU per second of run time.
"""

from __future__ import annotations

import pickle
import random
import sys
import tempfile
import time
from pathlib import Path

from loadgen.backend.messages import Report
from loadgen.metrics.packed import pack_snapshot
from loadgen.metrics.recorder import Recorder
from loadgen.metrics.tally import Tally
from loadgen.store import RunWriter

_SECONDS = 10
_SECOND = 1_000_000_000


def main(workers: int = 20, groups: int = 3, samples: int = 500) -> float:
    """Print and give the share of one core, in percent."""
    frames = [_frames(second, workers, groups, samples) for second in range(_SECONDS)]
    with tempfile.TemporaryDirectory() as folder:
        writer = RunWriter(Path(folder), "coordinator", "", {})
        tally = Tally(workers)
        began = time.process_time()
        for frame in (each for second in frames for each in second):
            report: Report = pickle.loads(frame)  # noqa: S301 - made above
            tally.add(report.snapshot)
            writer.snapshot(report.line)
            writer.flush()
            while (interval := tally.next_interval()) is not None:
                for metric in ("publish_latency", "delivery_latency", "send_lag"):
                    interval.select(metric).percentiles([50.0, 99.0])
        percent = 100 * (time.process_time() - began) / _SECONDS
        writer.finish({})
    print(
        f"{workers} workers with {groups} groups and {samples} samples a second in each histogram: "
        f"{percent:.2f} % of a core for the coordinator"
    )
    return percent


def _frames(second: int, workers: int, groups: int, samples: int) -> list[bytes]:
    chance = random.Random(second)
    frames = []
    for worker in range(workers):
        recorder = Recorder(worker)
        for group in range(groups):
            of_group = recorder.group(f"group{group}")
            for name in ("publish_latency", "publish_service_time", "delivery_latency", "send_lag"):
                times = [int(chance.lognormvariate(15, 1)) for _ in range(samples)]
                getattr(of_group, name).extend(times)
            of_group.published = of_group.acknowledged = of_group.received = samples
        snapshot = recorder.snapshot(
            interval=second,
            start_ns=second * _SECOND,
            end_ns=(second + 1) * _SECOND,
            stage="steady",
            gauges={"connected|group0": 1000.0, "rss": 1e8},
        )
        frames.append(pickle.dumps(Report(pack_snapshot(snapshot), snapshot.to_json())))
    return frames


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
