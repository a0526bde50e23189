"""A board as a run fills it, out of samples that are known."""

from __future__ import annotations

from typing import Any

from loadgen.live.board import Board, Moment, Subject, Worker
from loadgen.live.totals import TotalsReader
from loadgen.metrics.histogram import Histogram
from loadgen.metrics.packed import pack_snapshot
from loadgen.metrics.snapshot import Snapshot
from loadgen.metrics.tally import Tally
from tests.live.states import STATE

MS = 1_000_000
LATENCIES = {"warm-up": (5 * MS, 40_000 * MS), "steady": (90_000, 100_000, 1 * MS, 7 * MS, 100_000 * MS, -1)}
"""Publish latencies of the group `sensors` by stage, ns; one is out of range."""
SUBJECT = Subject(
    scenario='odd "name"\\',
    version="0.1.0",
    stages=(("connect", "connect"), ("warm-up", "hold"), ("steady", "hold"), ("drain", "drain")),
    groups={"sensors": 100, "dash": 1},
    send_lag_limit=0.1,
    loop_lag_limit=0.2,
)
RESULT = {"verdict": "fail", "exit_code": 99, "ledger": {"ok": 7, "lost": 2, "expected": 9}}


def tally() -> Tally:
    made = Tally(2)
    for interval, (stage, samples) in enumerate(LATENCIES.items()):
        for worker in (0, 1):
            mine = samples[worker::2]
            made.add(
                pack_snapshot(
                    Snapshot(
                        worker=worker,
                        interval=interval,
                        stage=stage,
                        start_ns=interval,
                        end_ns=interval + 1,
                        histograms={
                            "publish_latency|sensors": Histogram(mine),
                            "loop_lag|": Histogram((2 * MS,)),
                        },
                        counters={
                            "published|sensors": len(mine),
                            "bytes_sent|sensors": 300,
                            "connack_codes:0x86|dash": 1,
                        },
                        gauges={
                            "connected|sensors": 50.0,
                            "connected_node|127.0.0.1:8883": 50.0,
                            "cpu_seconds": 1.5,
                            "rss": 4e7,
                            "inflight": 3.0,
                        },
                    )
                )
            )
    return made


def board(result: dict[str, Any] | None = None) -> Board:
    made = Board(SUBJECT)
    found = tally()
    made.moment = Moment(
        totals=TotalsReader(SUBJECT.shown_groups).read(found.stages),
        state=STATE,
        gauges={"connected|sensors": 100.0, "connected_node|127.0.0.1:8883": 100.0, "inflight": 6.0},
        workers={0: Worker(1.5, 4e7), 1: Worker(1.5, 4e7)},
        faults=(("kill", "kill", True), ("slow", "slow", False)),
        result=result,
    )
    return made
