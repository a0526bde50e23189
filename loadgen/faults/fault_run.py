"""One fault of a run as it goes: what was planned, what became of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from loadgen.broker.faults import FaultOrder
    from loadgen.metrics.fault_record import FaultRecord
    from loadgen.plan.faults import FaultPlan

MARK = "mark"
"""The kind of a fault that somebody else did, told by `loadgen mark`."""


class Outcome(enum.StrEnum):
    """What became of a planned fault."""

    PENDING = "pending"
    NOT_REACHED = "not reached"
    """Its stage, or the run, ended before its moment."""
    INJECTING = "injecting"
    INJECTED = "injected"
    FAILED = "failed"
    """It could not be done, or not wholly."""


_STRUCK = (Outcome.INJECTING, Outcome.INJECTED, Outcome.FAILED)


@dataclass(slots=True)
class FaultRun:
    """See the module's docstring."""

    record: FaultRecord
    """What was done, and when."""
    plan: FaultPlan | None = None
    """None for a mark."""
    outcome: Outcome = Outcome.PENDING
    order: FaultOrder | None = None
    """What node control was told; None before its nodes are decided."""
    ready_before: int = 0
    """Clients ready when the window opened."""
    at_least: int = 0
    """How long its window stays open at least, ns."""
    trouble: list[str] = field(default_factory=list)
    """Why it could not be injected or healed."""
    healing: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether its window is open."""
        return self.record.injected_ns > 0 and not self.record.closed_ns

    @property
    def heals(self) -> bool:
        """Whether somebody has to undo it: a restart that broke off midway has left a node down."""
        if self.plan is None:
            return False
        broken_off = self.record.kind == "rolling-restart" and not self.record.injected_done_ns
        return self.plan.heals or broken_off

    @property
    def to_be_healed(self) -> bool:
        """Whether it was done, wholly or in part, and is not undone."""
        struck = self.outcome in _STRUCK and self.order is not None
        return struck and self.heals and not self.record.healed_ns

    @property
    def being_healed(self) -> bool:
        """Whether its nodes are being brought back at this moment."""
        return self.healing is not None and not self.healing.done()


def troubles(runs: Sequence[FaultRun]) -> Iterator[str]:
    """What makes a run prove nothing: faults that did not happen, or could not be undone."""
    for run in runs:
        for trouble in run.trouble:
            yield f"fault {run.record.name} {trouble}"
