"""The coordinator: starts the workers together, leads them through the stages, merges what they say."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

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
from loadgen.broker.view import ExpectedConnection, ViewResult, check_view
from loadgen.engine.health import process_usage
from loadgen.errors import ExitCode, LoadgenError, WorkerError
from loadgen.identity.login import user_name
from loadgen.metrics.delivery import Ledger, PublisherLog, SubscriberLog, classify
from loadgen.plan.logins import login_rule
from loadgen.result import Findings, build_result
from loadgen.store import run_number
from loadgen.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

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
_SETTLE_AFTER_INTERRUPT = 2.0
_SETTLE_AFTER_HOLD = 10.0
_VIEW_LIMIT = 30.0
_LONGEST_SILENCE = 10.0
"""A worker that says nothing for so long (s), and it speaks 5 times in a second, is given up."""
_OVERSLEPT = 3.0
"""The coordinator looks once a second or more often; after a longer gap (s) it was stopped itself."""
_LONGEST_FINAL_SILENCE = 30.0
"""The same while workers disconnect and hand over their part of the ledger, which takes them a while."""


@dataclass(slots=True)
class Observer:
    """Who is told what goes on; every part is optional."""

    on_second: Callable[[Snapshot, Coordinator], None] | None = None
    """Called with each finished interval, added up over the workers."""
    on_note: Callable[[str], None] | None = None
    """Called with a line for people: a stage begins, a worker is lost."""


@dataclass(slots=True)
class StageClock:
    """Where in the scenario the run is."""

    name: str = ""
    kind: str = ""
    started: int = 0
    """Monotonic ns."""
    ends: int | None = None
    """Monotonic ns; None when an event ends it."""


@dataclass(slots=True)
class _Log:
    finals: list[Final] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    progress: dict[int, Progress] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    silence: float = 0.0
    checked: float = field(default_factory=monotonic)
    ready: int = 0


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
    ) -> None:
        """Get ready; `run` does the work."""
        self.plan = plan
        self.target = target
        self.writer = writer
        self.workers = workers
        self.pool = WorkerPool(workers, inline=inline, driver=plan.driver)
        self.tally = Tally(workers)
        self.clock = StageClock()
        self.origin = 0
        self._observer = observer or Observer()
        self._log = _Log()
        self._changed = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._impatient = False
        self._stages: list[dict[str, Any]] = []
        self._view_task: asyncio.Task[ViewResult] | None = None
        self._settled = False
        self._silence_limit = _LONGEST_SILENCE
        self.warnings: list[str] = []

    # -- the whole -------------------------------------------------------------------------------

    async def run(self) -> dict[str, Any]:
        """Run to the end, or to the interruption, and give `result.json`.

        Raises:
            LoadgenError: the workers could not be set up; after that, trouble is part of the result.
        """
        # From here on until the result is on disk, Ctrl-C means: stop, and keep what there is.
        with self._signals():
            return await self._run()

    async def _run(self) -> dict[str, Any]:
        cpu_before = process_usage()[0]
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        view, view_error = None, ""
        await self.pool.start()
        pump = asyncio.create_task(self._pump())
        try:
            await self._set_up()
            self.origin = monotonic_ns() + _LEAD
            self.pool.broadcast(Begin(self.origin))
            await self._run_stages()
            view, view_error = await self._view()
            await self._finish()
        finally:
            if self._impatient:
                for worker in range(self.workers):
                    self.pool.kill(worker)
            await self.pool.close()
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
        self._drain_queue()
        findings = Findings(
            run_id=self.writer.id,
            plan=self.plan,
            target=self.target,
            tally=self.tally,
            started_at=started_at,
            duration=(monotonic_ns() - self.origin) / 1e9,
            stages=self._stages,
            finals=self._log.finals,
            ledger=None,
            view=view,
            view_error=view_error,
            interrupted=self._interrupted.is_set(),
            workers=self.workers,
            lost_workers=self._log.lost,
            lagging=self._log.silence,
            coordinator_cpu=process_usage()[0] - cpu_before,
            warnings=self.warnings,
        )
        if self.plan.publishers or any(client.filters for client in self.plan.clients):
            findings.ledger = self._classify()
        result = build_result(findings)
        self.writer.finish(result)
        return result

    async def _set_up(self) -> None:
        run_id = run_number()
        for number in range(self.workers):
            self.pool.send(
                number, Setup(self.plan.shard(number, self.workers), run_id, self.plan.scenario.seed)
            )
        try:
            async with asyncio.timeout(_SETUP_LIMIT):
                while self._log.ready < self.workers and not self._over:
                    await self._wait_for_news()
        except TimeoutError:
            raise WorkerError(
                "the workers were not ready in time", "use fewer clients or more workers"
            ) from None
        if self._log.failures:
            first = self._log.failures[0]
            error = WorkerError(first.what, first.mend)
            error.exit_code = ExitCode(first.exit_code)
            raise error

    @contextlib.contextmanager
    def _signals(self) -> Any:  # noqa: ANN401 - a generator for contextmanager
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            if self._interrupted.is_set():
                self._impatient = True
            self._interrupted.set()
            self._changed.set()

        signals = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.getsignal(each) for each in signals}
        for each in signals:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(each, interrupt)
        try:
            yield
        finally:
            for each in signals:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.remove_signal_handler(each)
                    signal.signal(each, before[each])

    def interrupt(self) -> None:
        """Stop as Ctrl-C does."""
        self._interrupted.set()
        self._changed.set()

    # -- stages ----------------------------------------------------------------------------------

    async def _run_stages(self) -> None:
        at = self.origin
        for stage in self.plan.scenario.stages:
            if self._over:
                break
            at = (
                max(at, monotonic_ns() + _LEAD // 3)
                if stage.kind != "hold" or self.clock.kind != "hold"
                else at
            )
            ended = await self._run_stage(stage, at)
            self._stages[-1]["duration"] = (ended - at) / 1e9
            at = ended
            if stage.kind == "connect" and self._nobody_connected():
                self._note("no client could connect: the remaining stages are skipped")
                break

    @property
    def _over(self) -> bool:
        return self._interrupted.is_set() or bool(self._log.lost)

    def _nobody_connected(self) -> bool:
        return not sum(each.ready for each in self._log.progress.values())

    async def _run_stage(self, stage: Stage, at: int) -> int:
        """Run one stage from `at` on; gives the time of its end (monotonic ns)."""
        groups = stage.groups or tuple(self.plan.scenario.groups)
        self.pool.broadcast(StartStage(stage.name, stage.kind, at, stage.record, stage.connect, groups))
        length = stage.hold if stage.kind == "hold" else None
        self.clock = StageClock(stage.name, stage.kind, at, at + length if length else None)
        self._stages.append(
            {
                "name": stage.name,
                "kind": stage.kind,
                "record": stage.record,
                "started_at_s": (at - self.origin) / 1e9,
                "duration": None,
                "load": str(stage.load) if stage.kind == "hold" else None,
            }
        )
        self.writer.event({"ns": at, "event": "stage", "stage": stage.name, "kind": stage.kind})
        self._note(f"stage {stage.name} ({stage.kind})")
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

        def all_settled() -> bool:
            known = self._log.progress.values()
            return len(known) == self.workers and all(
                each.stage == stage.name and not each.pending for each in known
            )

        if not await self._wait(limit, all_settled) and not self._over:
            pending = sum(each.pending for each in self._log.progress.values())
            self.warnings.append(
                f"stage {stage.name}: {pending} clients were not connected within the time limit"
            )
        self._stages[-1]["clients_ready"] = sum(each.ready for each in self._log.progress.values())
        self._stages[-1]["clients_failed"] = sum(each.failed for each in self._log.progress.values())
        if self.target.view is not None and not self._over:
            self._start_view()
        return monotonic_ns()

    async def _drain_stage(self, limit: int, at: int) -> int:
        self.clock.ends = at + limit
        settled = await self._wait(at + limit, lambda: self._is_settled(self._stages[-1]["name"]))
        self._settled = not self._over
        self._stages[-1]["ended_by"] = "settled" if settled else "interrupted" if self._over else "time"
        return monotonic_ns()

    def _is_settled(self, stage: str) -> bool:
        known = self._log.progress.values()
        return (
            len(known) == self.workers
            and all(each.stage == stage and not each.inflight and not each.backlog for each in known)
            and sum(each.unique for each in known) >= sum(each.expected for each in known)
        )

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
        self._check_silence()

    # -- the broker's view -----------------------------------------------------------------------

    def _start_view(self) -> None:
        if self._view_task is not None:
            # A later connect stage: the last look, with all clients, is the one that counts.
            self._view_task.cancel()
        assert self.target.view is not None
        ready = sum(each.ready for each in self._log.progress.values())
        rule = login_rule(self.plan.scenario.target)
        # Clients with a lifetime may be away while the broker is asked.
        groups = self.plan.scenario.groups
        steady = {name for name in self._connected_groups() if groups[name].lifetime is None}
        expected = [
            ExpectedConnection(
                client_id=client.client_id,
                user=user_name(client.identity, rule),
                subject=client.identity.subject_rabbitmq,
                user_properties=client.user_properties,
            )
            for client in self.plan.clients
            if client.group in steady
        ]
        self._note(f"checking the broker's view of {ready} clients")
        self._view_task = asyncio.create_task(check_view(self.target.view, expected, deadline_s=_VIEW_LIMIT))

    def _connected_groups(self) -> set[str]:
        groups: set[str] = set()
        for stage in self.plan.scenario.stages:
            if stage.kind == "connect" and any(each["name"] == stage.name for each in self._stages):
                groups.update(stage.groups or self.plan.scenario.groups)
        return groups

    async def _view(self) -> tuple[ViewResult | None, str]:
        """What came of the look at the broker; the clients stay connected until it is done."""
        task = self._view_task
        if task is None:
            return None, ""
        while not task.done() and not self._over:
            await self._wait_for_news(0.2)
        if not task.done():
            task.cancel()
        try:
            return await task, ""
        except asyncio.CancelledError:
            return None, ""
        except LoadgenError as error:
            return None, str(error)

    # -- the end ---------------------------------------------------------------------------------

    async def _finish(self) -> None:
        if self.clock.kind == "hold" and self.clock.ends and not self._over:
            await self._wait(self.clock.ends, lambda: False)
        if self.clock.kind == "hold" and not self._log.lost:
            await self._settle()
        self._note("disconnecting")
        self.pool.broadcast(Finish())
        self._silence_limit = _LONGEST_FINAL_SILENCE
        deadline = monotonic() + _FINAL_LIMIT
        while len(self._log.finals) + len(self._log.lost) < self.workers and monotonic() < deadline:
            if self._impatient:
                break
            await self._wait_for_news()
        if len(self._log.finals) + len(self._log.lost) < self.workers:
            self._log.lost.append(
                "the run was interrupted twice: what the workers knew of each message was not waited for"
                if self._impatient
                else "a worker did not finish"
            )

    async def _settle(self) -> None:
        """Give what is on its way a moment when no drain stage does, so that not all ends are loose."""
        interrupted = self._interrupted.is_set()
        at = monotonic_ns()
        self.pool.broadcast(StartStage(_SETTLE, "drain", at))
        self._stages.append(
            {
                "name": _SETTLE,
                "kind": "drain",
                "record": True,
                "started_at_s": (at - self.origin) / 1e9,
                "duration": None,
            }
        )
        deadline = monotonic() + (_SETTLE_AFTER_INTERRUPT if interrupted else _SETTLE_AFTER_HOLD)
        while monotonic() < deadline and not self._impatient and not self._log.lost:
            if self._is_settled(_SETTLE):
                # Nothing is missing, so nothing is in doubt.
                self._settled = True
                break
            if self._interrupted.is_set() and not interrupted:
                break
            await self._wait_for_news(0.2)
        self._stages[-1]["duration"] = (monotonic_ns() - at) / 1e9

    def _classify(self) -> Any:  # noqa: ANN401 - LedgerResult, named in the metrics package
        ledger = Ledger()
        for final in self._log.finals:
            ledger = ledger.merge(
                Ledger(
                    {number: PublisherLog.from_wire(wire) for number, wire in final.publishers.items()},
                    {number: SubscriberLog.from_wire(wire) for number, wire in final.subscribers.items()},
                )
            )
        expiring = self.plan.expiring((monotonic_ns() - self.origin) / 1e9)
        return classify(
            ledger.publishers,
            ledger.subscribers,
            self.plan.pairs(),
            settled=self._settled,
            expiring=expiring,
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
        if isinstance(message, Progress):
            self._hear(message.worker)
            self._log.progress[message.worker] = message
        elif isinstance(message, Ready):
            self._log.ready += 1
        elif isinstance(message, Final):
            self._log.finals.append(message)
            self._log.heard.pop(message.worker, None)
        elif isinstance(message, Failed):
            self._log.lost.append(message.what)
            self._log.failures.append(message)
            self._log.heard.pop(message.worker, None)
            self.tally.workers.discard(message.worker)
            self.writer.event({"ns": monotonic_ns(), "event": "worker_lost", "what": message.what})
            self._note(f"a worker is lost: {message.what}")
        self._changed.set()

    def _take_report(self, report: Report) -> None:
        self.tally.add(report.snapshot)
        self.writer.snapshot(report.line)
        for event in report.events:
            self.writer.event(event)
        if report.events_dropped:
            self.writer.event(
                {"ns": report.snapshot.end_ns, "event": "events_dropped", "count": report.events_dropped}
            )
        self.writer.flush()
        while (interval := self.tally.next_interval()) is not None:
            if self._observer.on_second is not None:
                self._observer.on_second(interval, self)

    def _hear(self, worker: int) -> None:
        now = monotonic()
        before = self._log.heard.get(worker)
        if before is not None:
            self._log.silence = max(self._log.silence, now - before)
        self._log.heard[worker] = now

    def _check_silence(self) -> None:
        now = monotonic()
        slept = now - self._log.checked > _OVERSLEPT
        self._log.checked = now
        for worker, before in tuple(self._log.heard.items()):
            self._log.silence = max(self._log.silence, now - before)
            if slept:
                # It is us who did not listen: what it said meanwhile waits in the pipe.
                self._log.heard[worker] = now
            elif now - before > self._silence_limit and self.pool.pids():
                self.pool.kill(worker)
                what = f"worker {worker} said nothing for {now - before:.0f}s and was given up"
                self._take(Failed(worker, what))

    def _note(self, text: str) -> None:
        if self._observer.on_note is not None:
            self._observer.on_note(text)


_SETTLE = "settle"
"""Name of the short drain after a hold stage when the scenario has no drain stage, or was interrupted."""
