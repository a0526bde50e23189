"""Runs the faults of a plan: each at its moment, healed in time, and healed whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.backend.messages import MarkPublishers
from loadgen.broker.fault_targets import resolve_targets
from loadgen.broker.faults import FaultOrder
from loadgen.errors import LoadgenError
from loadgen.faults.fault_run import MARK, FaultRun, Outcome
from loadgen.metrics.fault_record import FaultRecord
from loadgen.plan.pacer import splitmix64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.backend.messages import Message
    from loadgen.broker.faults import NodeControl
    from loadgen.faults.marks import Mark
    from loadgen.plan.faults import FaultPlan

_PREPARE = 400_000_000
"""How long before its moment a fault's nodes are decided, ns: `leader` is a question to the cluster."""
_MARK_LEAD = 30_000_000
"""How long before the act the workers are told to mark where every publisher is, ns."""
_INTERRUPTIBLE = frozenset({"run", "rolling-restart"})
"""Faults that take as long as they like: at the run's end they are broken off, the others are let finish."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the runner needs of the run around it."""

    nodes: tuple[str, ...]
    """`host:port` of each node, in the order of `target.uris`."""
    tell_workers: Callable[[Message], None]
    write_event: Callable[[dict[str, Any]], None]
    note: Callable[[str], None]
    """A line for people."""
    connected: Callable[[str], int]
    """`host:port` → clients that are connected there now."""
    ready: Callable[[], int]
    """Clients that are connected and subscribed now."""
    begun: Callable[[FaultRun], None] = lambda _: None
    """Called when a window opens."""


class FaultRunner:
    """The faults of one run. Trouble is noted with its fault and never raised: the run goes on."""

    def __init__(
        self, faults: Sequence[FaultPlan], control: NodeControl | None, seed: int, ground: Ground
    ) -> None:
        """Nothing happens before a stage is entered."""
        self.runs = [
            FaultRun(FaultRecord(each.number, each.name, each.kind, " ".join(each.targets)), each)
            for each in faults
        ]
        self._control = control
        self._seed = seed
        self._ground = ground
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._moments: dict[int, int] = {}
        self._end: asyncio.Task[None] | None = None

    # -- looking ---------------------------------------------------------------------------------

    def open_windows(self) -> list[FaultRun]:
        """The faults whose window is open, in the order of their beginning."""
        return sorted((run for run in self.runs if run.open), key=lambda run: run.record.injected_ns)

    @property
    def healing(self) -> bool:
        """Whether a node is being brought back at this moment."""
        return any(run.being_healed for run in self.runs)

    @property
    def unhealed(self) -> bool:
        """Whether what a fault did is still there."""
        return any(run.to_be_healed for run in self.runs)

    # -- the timeline ----------------------------------------------------------------------------

    def enter(self, stage: str, at: int) -> None:
        """A stage starts at `at` (monotonic ns): its faults are due from now on."""
        for run in self.runs:
            if run.plan is not None and run.plan.stage == stage and run.outcome is Outcome.PENDING:
                moment = at + run.plan.offset
                self._moments[run.record.number] = moment
                self._tasks[run.record.number] = asyncio.create_task(self._live(run, moment))

    def leave(self, stage: str, ended: int) -> None:
        """A stage ended at `ended`: faults due in it later than that are not injected."""
        for run in self.runs:
            due = self._moments.get(run.record.number, ended)
            if run.plan is not None and run.plan.stage == stage and due >= ended:
                self._skip(run, f"stage {stage} ended before {run.plan.at}")

    def mark(self, mark: Mark) -> None:
        """Somebody says that something happened: it gets a window of its own."""
        run = FaultRun(FaultRecord(len(self.runs), mark.text, MARK), at_least=mark.at_least)
        self.runs.append(run)
        run.outcome = Outcome.INJECTED
        self._open(run)
        run.record.injected_ns = run.record.injected_done_ns = mark.ns
        self._tell(run, "marked", mark.ns)
        self._ground.note(f"mark: {mark.text}")

    async def heal_for_drain(self) -> None:
        """Heal what has no moment of its own to heal, so that a drain can settle."""
        await self._heal_all(lambda run: not (run.plan and run.plan.heal_at_end))

    async def end(self) -> None:
        """Heal everything; nothing is injected any more. May be called again, also while it goes on."""
        if self._end is None:
            self._end = asyncio.create_task(self._end_all())
        await asyncio.shield(self._end)

    async def _end_all(self) -> None:
        for run in self.runs:
            self._skip(run, "the run ended before")
        for run in self.runs:
            task = self._tasks.get(run.record.number)
            if task is None or task.done():
                continue
            if run.outcome is not Outcome.INJECTING or run.record.kind in _INTERRUPTIBLE:
                task.cancel()
            # Else a kill or stop is under way, which takes its seconds: healing in its midst would race it.
            await asyncio.wait([task])
            if run.outcome is Outcome.INJECTING:
                run.outcome = Outcome.FAILED
                self._trouble(run, "was broken off", "the run ended before it was done")
        await self._heal_all(lambda _: True)

    # -- one fault -------------------------------------------------------------------------------

    async def _live(self, run: FaultRun, moment: int) -> None:
        plan, control = run.plan, self._control
        assert plan is not None
        assert control is not None, "a plan with faults comes with a node control"
        try:
            await _until(moment - _PREPARE)
            await self._choose(run, plan, control)
            await _until(moment - _MARK_LEAD)
            self._open(run)
            await _until(max(moment, monotonic_ns() + _MARK_LEAD))
            await self._inject(run, control)
        except LoadgenError as error:
            self._fail(run, "could not be injected", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on and what was done is healed
            self._fail(run, "could not be injected", error)
        if plan.heal_after is not None and run.to_be_healed and self._end is None:
            await _until((run.record.injected_done_ns or monotonic_ns()) + plan.heal_after)
            await self._heal(run)

    async def _choose(self, run: FaultRun, plan: FaultPlan, control: NodeControl) -> None:
        names = control.node_names()
        if plan.kind != "run":
            connected = {
                name: self._ground.connected(place)
                for name, place in zip(names, self._ground.nodes, strict=True)
            }
            chance = splitmix64(self._seed ^ plan.number)
            run.record.nodes = await resolve_targets(
                plan.targets, control, connected=connected, chance=chance
            )
            run.record.endpoints = tuple(self._ground.nodes[names.index(name)] for name in run.record.nodes)
        run.order = FaultOrder(
            kind=plan.kind,
            nodes=run.record.nodes,
            delay=plan.delay,
            jitter=plan.jitter,
            share=plan.share,
            command=plan.command,
            heal_command=plan.heal_command,
            between=plan.between,
            graceful=plan.graceful,
            maintenance=plan.maintenance,
        )

    def _open(self, run: FaultRun) -> None:
        run.ready_before = self._ground.ready()
        self._ground.tell_workers(MarkPublishers(run.record.number, "open"))
        self._ground.begun(run)

    async def _inject(self, run: FaultRun, control: NodeControl) -> None:
        assert run.order is not None
        where = ", ".join(run.record.nodes)
        self._ground.note(f"fault {run.record.name}: {run.record.kind} {where}".rstrip())
        run.outcome = Outcome.INJECTING
        # Preparation may take a while: the first act tells when it really began, and until then this holds.
        run.record.injected_ns = monotonic_ns()
        self._tell(run, "injecting", run.record.injected_ns)
        acts = len(run.record.steps)
        await control.inject(run.order, lambda what, node, ns: self._step(run, what, node, ns))
        run.record.injected_done_ns = monotonic_ns()
        if len(run.record.steps) > acts:
            run.record.injected_ns = run.record.steps[acts][2]
        run.outcome = Outcome.INJECTED
        if run.record.kind == "rolling-restart":
            run.record.healed_ns = run.record.injected_done_ns
        self._tell(run, "injected", run.record.injected_done_ns)

    async def _heal_all(self, which: Callable[[FaultRun], bool]) -> None:
        due = [run for run in self.runs if run.to_be_healed and which(run)]
        if due:
            await asyncio.gather(*(self._heal(run) for run in due))

    async def _heal(self, run: FaultRun) -> None:
        if run.healing is None or (run.healing.done() and run.to_be_healed):
            run.healing = asyncio.create_task(self._heal_once(run))
        # Whoever waits may be cancelled; the healing itself goes on.
        await asyncio.shield(run.healing)

    async def _heal_once(self, run: FaultRun) -> None:
        assert self._control is not None
        assert run.order is not None
        run.record.healing_ns = monotonic_ns()
        self._tell(run, "healing", run.record.healing_ns)
        self._ground.note(f"fault {run.record.name}: healing {', '.join(run.record.nodes)}".rstrip())
        try:
            await self._control.heal(run.order, lambda what, node, ns: self._step(run, what, node, ns))
        except Exception as error:  # noqa: BLE001 - the other faults are to be healed all the same
            self._trouble(run, "could not be healed", error)
            return
        run.record.healed_ns = monotonic_ns()
        run.trouble = [each for each in run.trouble if not each.startswith("could not be healed")]
        self._tell(run, "healed", run.record.healed_ns)
        self._ground.note(f"fault {run.record.name}: healed")

    # -- telling ---------------------------------------------------------------------------------

    def close_window(self, run: FaultRun, by: str) -> None:
        """Close a window: the ledger's part of it ends here."""
        if run.open:
            run.record.closed_ns, run.record.closed_by = monotonic_ns(), by
            self._ground.tell_workers(MarkPublishers(run.record.number, "close"))
            self._tell(run, "closed", run.record.closed_ns, by=by)

    def _skip(self, run: FaultRun, why: str) -> None:
        if run.outcome is Outcome.PENDING:
            run.outcome = Outcome.NOT_REACHED
            run.trouble.append(f"was not injected: {why}")
            if task := self._tasks.get(run.record.number):
                task.cancel()
            self._tell(run, "not reached", monotonic_ns(), why=why)
            self._ground.note(f"fault {run.record.name} {run.trouble[-1]}")

    def _fail(self, run: FaultRun, what: str, error: Exception) -> None:
        run.outcome = Outcome.FAILED
        if run.record.steps:
            run.record.injected_ns = run.record.steps[0][2]
        self._trouble(run, what, error)

    def _trouble(self, run: FaultRun, what: str, why: Exception | str) -> None:
        ours = isinstance(why, LoadgenError | str)
        words = str(why) if ours else f"{type(why).__name__}: {why}"
        # A second attempt takes the place of the first.
        run.trouble = [each for each in run.trouble if not each.startswith(what)] + [f"{what}: {words}"]
        self._tell(run, "trouble", monotonic_ns(), why=run.trouble[-1])
        self._ground.note(f"fault {run.record.name} {run.trouble[-1]}")

    def _step(self, run: FaultRun, what: str, node: str, ns: int) -> None:
        run.record.steps.append((what, node, ns))
        self._tell(run, what, ns, node=node)

    def _tell(self, run: FaultRun, phase: str, ns: int, **more: object) -> None:
        self._ground.write_event(
            {
                "ns": ns,
                "event": "fault",
                "fault": run.record.name,
                "number": run.record.number,
                "kind": run.record.kind,
                "phase": phase,
                "nodes": run.record.endpoints,
                **more,
            }
        )


async def _until(ns: int) -> None:
    while (left := ns - monotonic_ns()) > 0:  # noqa: ASYNC110 - a loop counts in ms and may wake us too early
        await asyncio.sleep(left / 1e9)
