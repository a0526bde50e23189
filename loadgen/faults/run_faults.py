"""All that has to do with faults while a run goes on: runner, watch, marks, and the clients' outages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.faults.marks import Mark, MarkReader
from loadgen.faults.runner import FaultRunner, Ground
from loadgen.faults.watch import FaultWatch, second_of
from loadgen.metrics.fault_record import END
from loadgen.metrics.outage import OutageBook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadgen.backend.messages import Message
    from loadgen.backend.worker_news import WorkerNews
    from loadgen.broker.faults import NodeControl
    from loadgen.faults.fault_run import FaultRun
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.metrics.tally import Tally
    from loadgen.plan.plan import Plan
    from loadgen.plan.schedule import Segment


@dataclass(frozen=True, slots=True)
class RunVoice:
    """How the faults speak to the rest of the run."""

    tell_workers: Callable[[Message], None]
    write_event: Callable[[dict[str, Any]], None]
    note: Callable[[str], None]
    begun: Callable[[FaultRun], None] = lambda _: None
    """Called when a fault's window opens."""


class RunFaults:
    """See the module's docstring; the coordinator tells it of stages, seconds and outages."""

    def __init__(
        self,
        plan: Plan,
        control: NodeControl | None,
        folder: Path,
        *,
        tally: Tally,
        news: WorkerNews,
        voice: RunVoice,
    ) -> None:
        """Nothing happens before the first stage."""
        self._plan = plan
        self._news = news
        self._voice = voice
        self._has_drain = any(stage.kind == "drain" for stage in plan.scenario.stages)
        self._marks = MarkReader(folder)
        self._holds: list[tuple[int, Segment]] = []
        self._ended = False
        self.outages = OutageBook()
        ground = Ground(
            nodes=tuple(f"{uri.host}:{uri.port}" for uri in plan.scenario.target.uris),
            tell_workers=voice.tell_workers,
            write_event=voice.write_event,
            note=voice.note,
            connected=lambda node: int(tally.gauge(f"connected_node|{node}")),
            ready=lambda: news.ready,
            begun=self._begun,
        )
        self.runner = FaultRunner(plan.faults, control, plan.scenario.seed, ground)
        self._watch = FaultWatch(self.runner.close_window, self._waits_for_heal, lambda: news.away)

    def _begun(self, run: FaultRun) -> None:
        self._watch.begin(run)
        self._voice.begun(run)

    def _waits_for_heal(self, run: FaultRun) -> bool:
        plan = run.plan
        if plan is None or not run.to_be_healed:
            return False
        return plan.heal_after is not None or (self._has_drain and not plan.heal_at_end)

    # -- told by the coordinator -----------------------------------------------------------------

    def enter(self, stage: str, at: int) -> None:
        """A stage starts at `at` (monotonic ns)."""
        if stage in self._plan.segments:
            self._holds.append((at, self._plan.segments[stage]))
        self.runner.enter(stage, at)

    def second(self, interval: Snapshot) -> None:
        """A second is over on all workers; `interval` is their sum."""
        covered, load = _load(self._holds, interval.start_ns, interval.end_ns)
        whole = covered >= interval.end_ns - interval.start_ns
        self._watch.second(second_of(interval, hold=whole, load=load))

    def look(self, origin: int, now: int) -> None:
        """Take the marks that were made since the last look."""
        for mark in self._marks.new():
            if self._ended:
                self._voice.note(f"mark {mark.text} came too late: the run is ending")
                continue
            self.runner.mark(Mark(min(max(mark.ns, origin), now), mark.text, mark.at_least))

    async def end(self) -> None:
        """Heal everything, then close every window."""
        await self.runner.end()
        self._ended = True
        for run in self.runner.open_windows():
            self.runner.close_window(run, END)

    def load(self, at: int) -> float:
        """The scheduled load factor at a monotonic time: 1.0 is 100 %, 0 outside the hold stages."""
        for begun, segment in self._holds:
            if begun <= at < begun + segment.duration:
                share = (at - begun) / segment.duration
                return segment.start_load + share * (segment.end_load - segment.start_load)
        return 0.0

    # -- asked by the coordinator ----------------------------------------------------------------

    @property
    def holds_the_drain(self) -> bool:
        """Whether a fault's consequences are still going on, so that a ledger that agrees is not the end."""
        return self.runner.healing or (bool(self.runner.open_windows()) and self.coming_back > 0)

    @property
    def disturbing(self) -> bool:
        """Whether a window is open at this moment."""
        return bool(self.runner.open_windows())

    @property
    def coming_back(self) -> int:
        """Clients that are away and still try."""
        return max(self._news.away - len(self.outages.given_up), 0)

    @property
    def keeps_messages(self) -> bool:
        """Whether a node is still away, so that what is missing may be with it and is not lost."""
        return self.runner.unhealed

    def shown(self, now: int) -> tuple[str, ...]:
        """A line for each open window, for people who watch."""
        return tuple(
            f"{run.record.name} {' '.join(run.record.endpoints)}".rstrip()
            + f" for {(now - run.record.injected_ns) / 1e9:.0f}s, {_state(run)}, "
            + f"{self._news.away} clients away"
            for run in self.runner.open_windows()
        )


def _state(run: FaultRun) -> str:
    if run.being_healed:
        return "being healed"
    if run.to_be_healed:
        return "not healed"
    return "healed" if run.record.healed_ns else "done"


def _load(holds: list[tuple[int, Segment]], start: int, end: int) -> tuple[int, float]:
    """How much of a span lies in hold stages, ns, and the load time that passes in it."""
    covered, load = 0, 0.0
    for at, segment in holds:
        first, last = max(start, at) - at, min(end, at + segment.duration) - at
        if last > first:
            slope = (segment.end_load - segment.start_load) / segment.duration
            middle = segment.start_load + slope * (first + last) / 2
            covered += last - first
            load += (last - first) * middle
    return covered, load
