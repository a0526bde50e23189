"""What is shown of a run each second: a plain value that every kind of view draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.metrics.histogram import Histogram

PERCENTS = (50.0, 95.0, 99.0, 100.0)


@dataclass(frozen=True, slots=True)
class Latency:
    """The spread of one second's samples, in seconds."""

    p50: float
    p95: float
    p99: float
    max: float


def latency_of(histogram: Histogram) -> Latency | None:
    """Give the spread of a histogram; None when it has no sample."""
    if not histogram.count:
        return None
    return Latency(*(value / 1e9 for value in histogram.percentiles(PERCENTS)))


@dataclass(frozen=True, slots=True)
class Health:
    """How the generator itself is doing, and what it may be; seconds."""

    send_lag: Latency | None = None
    loop_lag: Latency | None = None
    cpu: float | None = None
    """CPU time of the busiest worker in the last second, in cores: 1.0 is all that one process can have."""
    rss: float = 0.0
    """Resident memory of all workers, bytes."""
    workers: int = 1
    dropped: int = 0
    """Messages due and never sent, since the start."""
    late: int = 0
    """Messages that had to wait for a connection or the broker's quota, since the start."""
    send_lag_limit: float = 0.1
    """The scenario's `generator.send_lag`; a p99 above it over the whole run makes the run invalid."""
    loop_lag_limit: float = 0.1
    """The same for `generator.loop_lag`."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """Which of `send_lag`, `loop_lag` and `cpu` are beyond what they may be, in this second."""
        found = []
        if self.send_lag is not None and self.send_lag.p99 > self.send_lag_limit:
            found.append("send_lag")
        if self.loop_lag is not None and self.loop_lag.p99 > self.loop_lag_limit:
            found.append("loop_lag")
        if self.cpu is not None and self.cpu > BUSY:
            found.append("cpu")
        return tuple(found)


BUSY = 0.9
"""A worker that uses more of its core than this is about to fall behind."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is known about the last second of a run; latencies in seconds, None when there was no sample."""

    elapsed: float
    """Seconds since the start of the run."""
    stage: str
    clients: int
    """Clients of the plan."""
    connected: int
    stage_kind: str = "hold"
    """`connect`, `hold` or `drain`."""
    stages: tuple[str, ...] = ()
    """All stages of the scenario, in order."""
    stage_elapsed: float = 0.0
    """Seconds since the stage began."""
    stage_left: float | None = None
    """Seconds the stage still takes, at most when it is a drain; None when it ends by an event."""
    run_left: float | None = None
    """Seconds the run still takes as planned: connects at their rate, holds in full, drains not counted."""
    published_rate: float = 0.0
    """Messages per second, as the two below."""
    acknowledged_rate: float = 0.0
    delivered_rate: float = 0.0
    publish: Latency | None = None
    """Intended time → PUBACK."""
    delivery: Latency | None = None
    """Intended time → received by a subscriber."""
    inflight: int = 0
    """Messages sent at QoS 1 and not acknowledged."""
    backlog: int = 0
    """Messages due that wait for a connection or the broker's quota."""
    errors: dict[str, int] = field(default_factory=dict)
    """By cause, in words (`CONNACK 0x86 bad user name or password`), since the start; only above zero."""
    faults: tuple[str, ...] = ()
    """A line for each fault whose window is open."""
    health: Health = field(default_factory=Health)

    @property
    def progress(self) -> float:
        """How much of the stage is done, 0 to 1: time of a hold or drain, clients of a connect stage."""
        if self.stage_left is None:
            return min(self.connected / self.clients, 1.0) if self.clients else 0.0
        whole = self.stage_elapsed + self.stage_left
        return min(self.stage_elapsed / whole, 1.0) if whole else 1.0
