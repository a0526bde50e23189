"""The faults of a scenario in the order in which they come, each repetition by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.scenario.stages import format_percent
from loadgen.scenario.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.faults import Fault, FaultKind
    from loadgen.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One injection of a fault, and its healing; times in ns."""

    number: int
    """Its place in the plan, from 0."""
    name: str
    """`kill`; repetitions are `kill#1`, `kill#2` and so on."""
    fault: str
    """The name in the scenario, common to all repetitions: `kill`."""
    entry: int
    """Index in the scenario's `faults`."""
    kind: FaultKind
    targets: tuple[str, ...]
    """Names of nodes, or one word of `scenario.faults.TARGET_WORDS`; empty for `run`."""
    stage: str
    offset: int
    """From the start of the stage to the injection."""
    heals: bool
    """Whether there is something to undo."""
    heal_after: int | None
    """From the injection's completion to the healing; None: by `heal_at_end`."""
    heal_at_end: bool
    """Healed when the run ends. Without it and `heal_after`: when the drain stage begins, or at the end."""
    delay: int
    jitter: int
    share: float
    """The portion of each node's connections to close, above 0 to 1."""
    command: str
    heal_command: str
    """Empty when nothing heals."""
    between: int
    graceful: bool
    maintenance: bool

    @property
    def at(self) -> str:
        """`steady+30s`, as the scenario writes it."""
        return f"{self.stage}+{format_duration(self.offset)}" if self.offset else self.stage

    @property
    def what(self) -> str:
        """What is done, for people: `kill busiest`, `slow rabbit1 by 50ms`."""
        what = f"{self.kind} {', '.join(self.targets) or self.command}"
        if self.kind == "slow":
            what += f" by {format_duration(self.delay)}"
        return f"{what}, {format_percent(self.share)} of its connections" if self.kind == "reset" else what

    @property
    def healed(self) -> str:
        """When it is undone, for people: `healed after 20s`."""
        if not self.heals:
            return "heals by itself" if self.kind in {"rolling-restart", "reset"} else "never healed"
        if self.heal_after is not None:
            return f"healed after {format_duration(self.heal_after)}"
        return "healed at the end" if self.heal_at_end else "healed when the drain begins"


def plan_faults(scenario: Scenario) -> tuple[FaultPlan, ...]:
    """Lay out every injection, in the order of stages and offsets.

    Args:
        scenario: a checked scenario: every stage that a fault names exists.
    """
    stages = {stage.name: index for index, stage in enumerate(scenario.stages)}
    moments = sorted(
        (stages[fault.at.stage], offset, entry, name)
        for entry, fault in enumerate(scenario.faults)
        for offset, name in _injections(fault)
    )
    return tuple(
        _plan(number, scenario.faults[entry], entry, name, offset)
        for number, (_, offset, entry, name) in enumerate(moments)
    )


def _injections(fault: Fault) -> Iterator[tuple[int, str]]:
    every = fault.repeat.every if fault.repeat is not None else 0
    for time, name in enumerate(fault.names):
        yield fault.at.offset + time * every, name


def _plan(number: int, fault: Fault, entry: int, name: str, offset: int) -> FaultPlan:
    return FaultPlan(
        number=number,
        name=name,
        fault=fault.name,
        entry=entry,
        kind=fault.kind,
        targets=fault.targets,
        stage=fault.at.stage,
        offset=offset,
        heals=fault.heals,
        heal_after=fault.heal_after if isinstance(fault.heal_after, int) else None,
        heal_at_end=fault.heal_after == "end",
        delay=fault.delay or 0,
        jitter=fault.jitter,
        share=fault.share,
        command=fault.run or "",
        heal_command=fault.heal or "",
        between=fault.between,
        graceful=fault.graceful,
        maintenance=fault.maintenance,
    )
