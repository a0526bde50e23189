"""The coordinator: starts the workers together, leads them through the stages, merges what they say."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.backend.messages import (
    Accounted,
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
from loadgen.backend.worker_news import LONGEST_FINAL_SILENCE, WorkerNews
from loadgen.certificates.rotation import local_cluster
from loadgen.certificates.runner import CertificateRunner, Line
from loadgen.coordination.abort_watch import AbortWatch
from loadgen.coordination.accounting import Accounting
from loadgen.coordination.broker_sampler import sampling
from loadgen.coordination.interruption import Interruption
from loadgen.coordination.settling import Settling
from loadgen.coordination.stage_log import StageLog
from loadgen.drift_watch import DriftWatch
from loadgen.engine.health import process_usage
from loadgen.errors import ExitCode, WorkerError
from loadgen.faults.results import FaultResults, fault_results
from loadgen.faults.run_faults import RunFaults, RunVoice
from loadgen.metrics.broker_sample import BrokerSample
from loadgen.metrics.fault_window import RunSpan
from loadgen.metrics.tally import Tally
from loadgen.result import Findings, build_result
from loadgen.store import open_run, run_number
from loadgen.view_check import ViewCheck, expected_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadgen.broker.faults import NodeControl
    from loadgen.broker.view import ViewResult
    from loadgen.faults.fault_run import FaultRun
    from loadgen.metrics.delivery import Ledger
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.plan.plan import Plan
    from loadgen.scenario.model import Stage
    from loadgen.store import RunWriter
    from loadgen.target import OpenTarget

_SECOND = 1_000_000_000
_LEAD = 150_000_000
"""How long before a stage starts the workers hear of it, ns: they all enter it at the same moment."""
_SETUP_LIMIT = 120.0
_FINAL_LIMIT = 60.0
_STILL_ARRIVING = 2 * _SECOND
"""A drain whose last part, of this length, brought deliveries has not ended by itself."""
_SETTLE_AFTER_INTERRUPT = 2.0
_SETTLE_AFTER_HOLD = 10.0
_COME_BACK = 10.0
"""How long clients that are away when the run ends are given to come back, s."""


@dataclass(slots=True)
class Observer:
    """Who is told what goes on; every part is optional."""

    on_second: Callable[[Snapshot, Coordinator], None] | None = None
    """Called with each finished interval, added up over the workers."""
    on_note: Callable[[str], None] | None = None
    """Called with a line for people: a stage begins, a worker is lost."""
    on_begin: Callable[[Coordinator], None] | None = None
    """Called when the workers are set up and the run's time zero is known, before the first stage."""


@dataclass(slots=True)
class StageClock:
    """Where in the scenario the run is."""

    name: str = ""
    kind: str = ""
    started: int = 0
    """Monotonic ns."""
    ends: int | None = None
    """Monotonic ns; None when an event ends it."""


class Coordinator:
    """Runs one plan on a pool of workers and writes it down."""

    def __init__(
        self,
        plan: Plan,
        target: OpenTarget,
        writer: RunWriter,
        *,
        workers: int,
        inline: bool,
        observer: Observer | None = None,
        control: NodeControl | None = None,
        via: Mapping[int, tuple[str, int]] | None = None,
        certificates: CertificateRunner | None = None,
    ) -> None:
        """Get ready; `run` does the work.

        Args:
            plan: what to run.
            target: whom to run it against.
            writer: where it is written down.
            workers: how many workers.
            inline: one worker, in this process and loop.
            observer: who is told what goes on.
            control: who does the plan's faults.
            via: index of a node → what to dial instead of it: the proxy of a node that may be slow.
            certificates: who carries out the plan's certificate steps.
        """
        self.plan = plan
        self.target = target
        self.writer = writer
        self.workers = workers
        self.pool = WorkerPool(workers, inline=inline, driver=plan.driver)
        self.tally = Tally(workers)
        self.clock = StageClock()
        self.origin = 0
        self._ended = 0
        self._observer = observer or Observer()
        self._news = WorkerNews(workers)
        self._changed = asyncio.Event()
        self._interruption = Interruption(self._changed.set)
        self._stages = StageLog()
        self._abort_watch = AbortWatch(plan.scenario.parsed_thresholds())
        self._aborted = ""
        """Why the run is ended early; empty when it is not."""
        self._view = ViewCheck(local_cluster(target.scenario.target))
        self._accounting = Accounting(plan)
        self._settling: Settling | None = None
        self._via = via
        voice = RunVoice(self.pool.broadcast, writer.event, self._note, self._fault_begins)
        self.faults = RunFaults(plan, control, writer.path, tally=self.tally, news=self._news, voice=voice)
        self._drift = DriftWatch(plan.scenario)
        self.warnings: list[str] = []
        self._certificates = certificates or CertificateRunner(plan, target, {})
        self._certificates.attach(
            Line(
                self.pool.send,
                workers,
                self._news.returning,
                self._note,
                writer.event,
                self.warnings.append,
                self._view,
                self._connected_groups,
            )
        )

    # -- the whole -------------------------------------------------------------------------------

    async def run(self) -> dict[str, Any]:
        """Run to the end, or to the interruption, and give `result.json`.

        Raises:
            LoadgenError: the workers could not be set up; after that, trouble is part of the result.
        """
        # From here on until the result is on disk, Ctrl-C means: stop, and keep what there is.
        with self._interruption.on_signals():
            return await self._run()

    async def _run(self) -> dict[str, Any]:
        cpu_before = process_usage()[0]
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        view, view_error = None, ""
        try:
            await self._certificates.prepare()
        except BaseException:
            await self._certificates.close()
            raise
        await self.pool.start()
        pump = asyncio.create_task(self._pump())
        try:
            await self._set_up()
            self.origin = self._stages.origin = self._accounting.origin = monotonic_ns() + _LEAD
            self.pool.broadcast(Begin(self.origin))
            self._certificates.begin(self.origin)
            if self._observer.on_begin is not None:
                self._observer.on_begin(self)
            self._drift.begin(self.origin)
            async with sampling(self.target, self._take_broker_sample):
                await self._run_stages()
                await self._certificates.finish(over=self._over)
                view, view_error = await self._look_to_the_end()
                await self._finish()
        finally:
            try:
                # Whatever happened: no node is left as a fault made it.
                await self.faults.end()
                if self._interruption.impatient:
                    for worker in range(self.workers):
                        self.pool.kill(worker)
                await self.pool.close()
                pump.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pump
            finally:
                await self._certificates.close()
        self._drain_queue()
        steps, steps_say = self._certificates.outcome(self._news.finals)
        findings = Findings(
            run_id=self.writer.id,
            plan=self.plan,
            target=self.target,
            tally=self.tally,
            started_at=started_at,
            duration=(monotonic_ns() - self.origin) / 1e9,
            stages=self._stages.rows,
            finals=self._news.finals,
            ledger=None,
            view=view,
            view_error=view_error,
            interrupted=self._interruption.requested,
            aborted=self._aborted,
            workers=self.workers,
            lost_workers=self._news.lost,
            lagging=self._news.silence,
            coordinator_cpu=process_usage()[0] - cpu_before,
            warnings=self.warnings,
            faults=self.faults.runner.runs,
            certificate_steps=steps,
            steps_say=steps_say,
            drift=self._drift.rows(),
        )
        accounting = self._accounting
        ledger = accounting.put_together(self._news.finals) if accounting.is_kept else None
        if ledger is not None:
            findings.ledger = accounting.classify(ledger)
        findings.fault_results = self._fault_results(ledger)
        result = build_result(findings)
        self.writer.finish(result)
        return result

    async def _set_up(self) -> None:
        run_id = run_number()
        for number in range(self.workers):
            shard = self.plan.shard(number, self.workers, self._via)
            self.pool.send(number, Setup(shard, run_id, self.plan.scenario.seed))
        try:
            async with asyncio.timeout(_SETUP_LIMIT):
                while not self._news.all_set_up and not self._over:
                    await self._wait_for_news()
        except TimeoutError:
            raise WorkerError(
                "the workers were not ready in time", "use fewer clients or more workers"
            ) from None
        if self._news.failures:
            first = self._news.failures[0]
            error = WorkerError(first.what, first.mend)
            error.exit_code = ExitCode(first.exit_code)
            raise error

    def interrupt(self) -> None:
        """Stop as Ctrl-C does."""
        self._interruption.request()

    # -- stages ----------------------------------------------------------------------------------

    async def _run_stages(self) -> None:
        at = self.origin
        for stage in self.plan.scenario.stages:
            if self._over:
                break
            if (self.clock.kind, stage.kind) != ("hold", "hold"):
                # Between two holds not a message is late; elsewhere the workers shall hear of it in time.
                at = max(at, monotonic_ns() + _LEAD // 3)
            ended = await self._run_stage(stage, at)
            self._stages.end(at, ended)
            self.faults.runner.leave(stage.name, ended)
            self._drift.leave(stage.name, ended)
            at = ended
            if stage.kind == "connect" and not self._news.ready and not self._only_refused():
                self._note("no client could connect: the remaining stages are skipped")
                break

    @property
    def _over(self) -> bool:
        return self._interruption.requested or bool(self._aborted) or bool(self._news.lost)

    async def _run_stage(self, stage: Stage, at: int) -> int:
        """Run one stage from `at` on; gives the time of its end (monotonic ns)."""
        groups = stage.groups or tuple(self.plan.scenario.groups)
        self._certificates.stage_begins(stage.name, at)
        self.pool.broadcast(StartStage(stage.name, stage.kind, at, stage.record, stage.connect, groups))
        length = stage.hold if stage.kind == "hold" else None
        self.clock = StageClock(stage.name, stage.kind, at, at + length if length else None)
        load = str(stage.load) if stage.kind == "hold" else None
        self._stages.begin(stage.name, stage.kind, at, record=stage.record, load=load)
        self.writer.event({"ns": at, "event": "stage", "stage": stage.name, "kind": stage.kind})
        self._note(f"stage {stage.name} ({stage.kind})")
        self.faults.enter(stage.name, at)
        self._drift.enter(stage.name, at)
        if stage.kind == "connect":
            return await self._connect_stage(stage, at)
        if stage.kind == "drain":
            return await self._drain_stage(stage.drain or 0, at)
        end = at + (stage.hold or 0)
        # Leave a little early, so that the workers hear of the next stage before it starts.
        await self._wait(end - _LEAD, lambda: False)
        return end if not self._over else monotonic_ns()

    async def _connect_stage(self, stage: Stage, at: int) -> int:
        limit = at + (stage.timeout or 300 * _SECOND)
        self.clock.ends = None

        if not await self._wait(limit, lambda: self._news.connected(stage.name)) and not self._over:
            self.warnings.append(
                f"stage {stage.name}: {self._news.pending} clients were not connected within the time limit"
            )
        self._stages.tell(clients_ready=self._news.ready, clients_failed=self._news.failed)
        if self.target.view is not None and not self._over:
            self._note(f"checking the broker's view of {self._news.ready} clients")
            self._view.start(self.target.view, expected_connections(self.plan, self._connected_groups()))
        return monotonic_ns()

    async def _drain_stage(self, limit: int, at: int) -> int:
        self.clock.ends = at + limit
        healing = asyncio.create_task(self.faults.runner.heal_for_drain())
        # When messages still arrive at its end, the broker was slow, and what is missing is not lost by that.
        tail = min(_STILL_ARRIVING, limit // 2)
        if self._accounting.is_kept:
            self._settling = Settling(
                self.clock.name, self._news, self.pool.broadcast, self._accounting.as_if_settled
            )
        settled = await self._wait(at + limit - tail, self._drained)
        arrived = self._news.unique
        settled = settled or await self._wait(at + limit, self._drained)
        if not self._over:
            # What a node that is still away holds is not lost either.
            flowing = self._news.unique > arrived or self.faults.keeps_messages
            self._accounting.settled = settled or self._news.settled(self.clock.name) or not flowing
            await healing
        self._stages.tell(ended_by="settled" if settled else "interrupted" if self._over else "time")
        return monotonic_ns()

    def _drained(self) -> bool:
        if self.faults.holds_the_drain:
            return False
        if self._settling is not None:
            self._settling.look(monotonic())
        return self._news.settled(self.clock.name) or (self._settling is not None and self._settling.settled)

    async def _wait(self, until: int, done: Callable[[], bool]) -> bool:
        """Wait for `done()`, `until` (monotonic ns), an interrupt or a lost worker; True for `done()`."""
        while not self._over:
            if done():
                return True
            left = (until - monotonic_ns()) / 1e9
            if left <= 0:
                return False
            await self._wait_for_news(min(left, 1.0))
        return False

    async def _wait_for_news(self, limit: float = 1.0) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), limit)
        self._changed.clear()
        self._give_up_the_silent()
        if self.origin:
            self.faults.look(self.origin, monotonic_ns())

    # -- the broker's view -----------------------------------------------------------------------

    def _fault_begins(self, run: FaultRun) -> None:
        if self._view.pending:
            self._view.cancel()
            self.warnings.append(
                f"the broker's view was not compared to the end: fault {run.record.name} came first"
            )

    def _connected_groups(self) -> set[str]:
        groups: set[str] = set()
        for stage in self.plan.scenario.stages:
            if stage.kind == "connect" and stage.name in self._stages.names:
                groups.update(stage.groups or self.plan.scenario.groups)
        return groups

    def _only_refused(self) -> bool:
        """Whether the brokers were to refuse all clients so far, so that none is ready and all is well."""
        return all(self.plan.scenario.groups[name].refused for name in self._connected_groups())

    async def _look_to_the_end(self) -> tuple[ViewResult | None, str]:
        """What came of the look at the broker; the clients stay connected until it is done."""
        while self._view.pending and not self._over:
            await self._wait_for_news(0.2)
        if self._view.pending:
            self._view.cancel()
        return await self._view.outcome()

    # -- the end ---------------------------------------------------------------------------------

    async def _finish(self) -> None:
        if self.clock.kind == "hold" and self.clock.ends and not self._over:
            await self._wait(self.clock.ends, lambda: False)
        if self.clock.kind == "hold" and not self._news.lost:
            await self._settle()
        await self.faults.runner.end()
        await self._let_come_back()
        await self.faults.end()
        self._ended = monotonic_ns()
        self._note("disconnecting")
        self.pool.broadcast(Finish())
        self._news.silence_limit = LONGEST_FINAL_SILENCE
        deadline = monotonic() + _FINAL_LIMIT
        while not self._news.all_ended and not self._interruption.impatient and monotonic() < deadline:
            await self._wait_for_news()
        if not self._news.all_ended:
            self._news.lost.append(
                "the run was interrupted twice: what the workers knew of each message was not waited for"
                if self._interruption.impatient
                else "a worker did not finish"
            )

    async def _settle(self) -> None:
        """Give what is on its way a moment when no drain stage does, so that not all ends are loose."""
        interrupted = self._interruption.requested
        at = monotonic_ns()
        self.pool.broadcast(StartStage(_SETTLE, "drain", at))
        self._stages.begin(_SETTLE, "drain", at)
        await self.faults.runner.end()
        deadline = monotonic() + (_SETTLE_AFTER_INTERRUPT if interrupted else _SETTLE_AFTER_HOLD)
        while monotonic() < deadline and not self._interruption.impatient and not self._news.lost:
            if self._news.settled(_SETTLE):
                # Nothing is missing, so nothing is in doubt.
                self._accounting.settled = True
                if not self.faults.holds_the_drain:
                    break
            if self._interruption.requested and not interrupted:
                break
            await self._wait_for_news(0.2)
        self._stages.end(at, monotonic_ns())

    async def _let_come_back(self) -> None:
        """Give clients that lost their connection just now, or whose node was healed just now, their time."""
        deadline = monotonic() + _COME_BACK
        while self.faults.coming_back and not self._over and monotonic() < deadline:
            await self._wait_for_news(0.2)

    def _fault_results(self, ledger: Ledger | None) -> FaultResults:
        self.writer.flush()
        span = RunSpan(self.origin, self._ended, self.faults.load)
        return fault_results(
            self.faults.runner.runs,
            self.faults.outages.outages,
            open_run(self.writer.path),
            span,
            None if ledger is None else lambda window: self._accounting.classify(ledger, window),
            self._news.finals,
        )

    # -- what workers say ------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            self._take(await self.pool.messages.get())

    def _drain_queue(self) -> None:
        while not self.pool.messages.empty():
            self._take(self.pool.messages.get_nowait())

    def _take(self, message: Message) -> None:
        if isinstance(message, Report):
            self._take_report(message)
            return
        if isinstance(message, Accounted):
            if self._settling is not None:
                self._settling.take(message)
            self._changed.set()
            return
        assert isinstance(message, Progress | Ready | Final | Failed), "workers say nothing else"
        self._news.take(message)
        if isinstance(message, Failed):
            self.tally.workers.discard(message.worker)
            self.writer.event({"ns": monotonic_ns(), "event": "worker_lost", "what": message.what})
            self._note(f"a worker is lost: {message.what}")
        self._changed.set()

    def _take_report(self, report: Report) -> None:
        self.tally.add(report.snapshot)
        self.faults.outages.add(report.outages)
        self.writer.snapshot(report.line)
        for event in report.events:
            self.writer.event(event)
        if report.events_dropped:
            self.writer.event(
                {"ns": report.snapshot.end_ns, "event": "events_dropped", "count": report.events_dropped}
            )
        self.writer.flush()
        while (interval := self.tally.next_interval()) is not None:
            self.faults.second(interval)
            self._drift.second(interval, disturbed=self.faults.disturbing)
            self._judge_early(interval.end_ns)
            if self._observer.on_second is not None:
                self._observer.on_second(interval, self)

    def _judge_early(self, now: int) -> None:
        """End the run when a threshold with `abort_on_fail` has been broken for long enough (now: ns)."""
        if self._over:
            return
        self._aborted = self._abort_watch.second(self.tally, self._stages.rows, (now - self.origin) / 1e9)
        if self._aborted:
            self.writer.event({"ns": monotonic_ns(), "event": "aborted", "why": self._aborted})
            self._note(f"ending early: {self._aborted}")

    def _take_broker_sample(self, sample: dict[str, Any]) -> None:
        self.writer.broker_sample(sample)
        self._drift.brokers(BrokerSample.from_dict(sample), disturbed=self.faults.disturbing)

    def _give_up_the_silent(self) -> None:
        for worker, seconds in self._news.silent():
            if self.pool.pids():
                self.pool.kill(worker)
                what = f"worker {worker} said nothing for {seconds:.0f}s and was given up"
                self._take(Failed(worker, what))

    def _note(self, text: str) -> None:
        if self._observer.on_note is not None:
            self._observer.on_note(text)


_SETTLE = "settle"
"""Name of the short drain after a hold stage when the scenario has no drain stage, or was interrupted."""
