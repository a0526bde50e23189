"""A second of a run that went well, to show."""

from __future__ import annotations

from loadgen.live.state import Health, Latency, LiveState

STATE = LiveState(
    elapsed=83.0,
    stage="steady",
    stage_kind="hold",
    stages=("connect", "warm-up", "steady", "drain"),
    stage_elapsed=23.0,
    stage_left=37.0,
    run_left=41.0,
    clients=300,
    connected=299,
    published_rate=211.4,
    acknowledged_rate=211.0,
    delivered_rate=634.0,
    publish=Latency(0.004, 0.009, 0.0136, 0.02),
    delivery=Latency(0.006, 0.011, 0.0204, 0.03),
    inflight=12,
    errors={"CONNACK 0x86 bad user name or password": 3, "lost: reset": 0},
    health=Health(
        send_lag=Latency(0.0005, 0.0008, 0.001, 0.002),
        loop_lag=Latency(0.0002, 0.0003, 0.0004, 0.002),
        cpu=0.43,
        rss=123e6,
        workers=2,
    ),
)
