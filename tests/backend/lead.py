"""As much of a coordinator as leads a pool of workers through one plan."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic_ns
from typing import TYPE_CHECKING, TypeVar

from loadgen.backend.messages import (
    Begin,
    Failed,
    Final,
    Finish,
    Message,
    Progress,
    Ready,
    Report,
    Setup,
    StartStage,
)
from loadgen.backend.pool import WorkerPool
from loadgen.metrics.tally import Sums

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from loadgen.metrics.snapshot import Snapshot
    from loadgen.plan.plan import Plan

RUN_ID = 9
PATIENCE = 60.0
"""Seconds for a worker process to start and answer: Python's own start takes one on a loaded machine."""

T = TypeVar("T")


class Lead:
    """Speaks to the workers and keeps what they say."""

    def __init__(self, pool: WorkerPool, plan: Plan) -> None:
        self.pool, self.plan = pool, plan
        self.finals: list[Final] = []
        self.failed: list[Failed] = []
        self.ready = 0
        self.progress: dict[int, Progress] = {}
        self.sums = Sums()

    async def until(self, true: Callable[[], bool]) -> None:
        """Take messages until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._take(await self.pool.messages.get())

    def _take(self, message: Message) -> None:
        if isinstance(message, Final):
            self.finals.append(message)
        elif isinstance(message, Failed):
            self.failed.append(message)
        elif isinstance(message, Ready):
            self.ready += 1
        elif isinstance(message, Progress):
            self.progress[message.worker] = message
        elif isinstance(message, Report):
            self.sums.add(message.snapshot)

    def total(self, field: str) -> int:
        return sum(getattr(each, field) for each in self.progress.values())

    def everyone(self, true: Callable[[Progress], bool]) -> bool:
        return len(self.progress) == self.pool.workers and all(map(true, self.progress.values()))

    async def set_up(self) -> None:
        for number in range(self.pool.workers):
            self.pool.send(number, Setup(self.plan.shard(number, self.pool.workers), RUN_ID, 1))
        await self.until(lambda: self.ready == self.pool.workers or bool(self.failed))
        self.pool.broadcast(Begin(monotonic_ns()))

    async def connect(self) -> None:
        groups = tuple(self.plan.scenario.groups)
        self.pool.broadcast(StartStage("connect", "connect", monotonic_ns(), True, 1000.0, groups))
        await self.until(lambda: self.everyone(lambda each: each.stage == "connect" and not each.pending))

    async def hold_and_drain(self) -> None:
        at = monotonic_ns() + 100_000_000
        for name, segment in self.plan.segments.items():
            self.pool.broadcast(StartStage(name, "hold", at))
            at += segment.duration
        self.pool.broadcast(StartStage("drain", "drain", at))
        await self.until(
            lambda: (
                self.everyone(lambda each: each.stage == "drain" and not each.inflight)
                and self.total("unique") >= self.total("expected")
            )
        )

    async def finish(self) -> None:
        self.pool.broadcast(Finish())
        await self.until(lambda: len(self.finals) + len(self.failed) == self.pool.workers)

    def merged(self) -> Snapshot:
        return self.sums.snapshot()


@contextlib.asynccontextmanager
async def leading(plan: Plan, workers: int, *, inline: bool = False) -> AsyncIterator[Lead]:
    """A started pool, closed in any case."""
    pool = WorkerPool(workers, inline=inline)
    await pool.start()
    try:
        yield Lead(pool, plan)
    finally:
        await pool.close()
