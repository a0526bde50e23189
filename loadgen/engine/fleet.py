"""One shard's clients in one event loop: stages in, snapshots and progress out."""

from __future__ import annotations

import asyncio
import gc
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.engine.certificate_steps import CertificateSteps
from loadgen.engine.context import FleetContext
from loadgen.engine.curve import Curve
from loadgen.engine.driver import client_factory
from loadgen.engine.expecting import ExpectingClient
from loadgen.engine.health import LoopLagProbe, give_back_memory, process_usage
from loadgen.engine.keepalive import KeepAliveWheel
from loadgen.engine.pacing import PacingDriver
from loadgen.engine.phase import Phase
from loadgen.engine.stream import Lanes
from loadgen.metrics.recorder import Recorder
from loadgen.plan.payload import PayloadFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.engine.client import Client
    from loadgen.engine.client_state import ClientState
    from loadgen.engine.stream import Stream
    from loadgen.metrics.outage import OutageWire
    from loadgen.metrics.snapshot import Snapshot
    from loadgen.plan.pacer import Pacer
    from loadgen.plan.plan import Shard

_SECOND = 1_000_000_000
_CLOSES_PER_TURN = 200


class Fleet:
    """Runs a shard: knows its clients and the stage it is in, nothing of coordinators, faults or reports."""

    def __init__(
        self,
        shard: Shard,
        run_id: int,
        seed: int,
        report: Callable[[Snapshot, list[dict[str, Any]], int, list[OutageWire]], None],
    ) -> None:
        """Build the clients; `report` takes an interval's snapshot, events, how many dropped, and outages."""
        self.shard = shard
        self._loop = asyncio.get_running_loop()
        self.context = FleetContext(self._loop, shard.target, run_id, seed, shard.number)
        self._report = report
        self._recorder = Recorder(shard.number)
        factories = {
            each.number: PayloadFactory(run_id, each.payload, each.content) for each in shard.definitions
        }
        make_client = client_factory(shard.driver, self._loop, len(shard.clients))
        self.clients = [
            (make_client if shard.groups[plan.group].expect is None else ExpectingClient)(
                self.context, plan, shard.groups[plan.group], self._recorder.group(plan.group), factories
            )
            for plan in shard.clients
        ]
        self.certificates = CertificateSteps(self._loop, self.clients)
        self._pacing = PacingDriver(self._loop, self._pacing_lines())
        self._wheel = KeepAliveWheel(self._loop)
        self._curve = Curve(self._loop, self._recorder, lambda: self.progress()["ready"])
        self._marks: list[tuple[int, str, list[int]]] = []
        self._probe = LoopLagProbe(self._loop, self._recorder, lambda: self.context.recording)
        self._stage_timers: list[asyncio.TimerHandle] = []
        self._connect_timer: asyncio.Handle | None = None
        self._interval_timer: asyncio.TimerHandle | None = None
        self._collector: tuple[int, int, int] | None = None
        self._origin = 0
        self._interval_start = 0
        self._boundary = 0
        self.stage = ""
        self._connecting: set[int] = set()
        self.context.on_settled = self._settled

    def _pacing_lines(self) -> list[tuple[Pacer, list[Stream]]]:
        by_definition: dict[int, list[Stream]] = {}
        for client in self.clients:
            own: dict[int, list[Stream]] = {}
            for stream, plan in zip(client.streams, client.plan.streams, strict=True):
                own.setdefault(plan.stream, []).append(stream)
            for number, lanes in own.items():
                if len(lanes) > 1:
                    seed = self.shard.definitions[number].choice_seed(client.plan.index)
                    lanes[0].lanes = Lanes(lanes, seed)
                by_definition.setdefault(number, []).append(lanes[0])
        return [
            (self.shard.definitions[number].pacer([stream.client.plan.index for stream in streams]), streams)
            for number, streams in by_definition.items()
        ]

    async def prepare(self) -> None:
        """Resolve names and settle the garbage collector.

        Raises:
            TargetError: a node's name cannot be resolved.
        """
        await self.context.resolve()
        # Everything made so far lives as long as the run: keep it out of the collector's way.
        gc.collect()
        gc.freeze()
        self._collector = gc.get_threshold()
        gc.set_threshold(50_000, 20, 100)

    def begin(self, origin: int) -> None:
        """Start time: intervals are whole seconds after `origin` (monotonic ns)."""
        self._origin = origin
        self._interval_start = origin
        self._boundary = origin + _SECOND
        self._probe.start()
        self._wheel.start()
        self._curve.start(origin)
        self._arm_interval()

    # -- stages ----------------------------------------------------------------------------------

    def start_stage(
        self,
        name: str,
        kind: str,
        at: int,
        *,
        record: bool = True,
        connect_rate: float | None = None,
        groups: tuple[str, ...] = (),
    ) -> None:
        """Enter a stage at `at` (monotonic ns), not a moment earlier."""
        # Noted at once: another worker may enter the stage, and its messages come, before we do.
        self.context.books.announce(name, at, record=record)

        def enter() -> None:
            wait = at - monotonic_ns()
            if wait > 0:
                self._stage_timers.append(self._loop.call_later(wait / 1e9 + 0.0005, enter))
                return
            self._enter(name, at, record=record)
            if kind == "hold":
                self.context.publishing = True
                self._start_churn()
                self._pacing.start(self.shard.segments[name], at)
            elif kind == "drain":
                # Whoever is away comes back, so that what waits for it can arrive.
                self.context.churning = False
            elif kind == "connect":
                self._start_connects(at, connect_rate or 1.0, groups)

        enter()

    def _enter(self, name: str, at: int, *, record: bool) -> None:
        # What the stage before still owes is sent first, so that it is counted there; an interval that ended
        # between `at` and now has taken part of that stage with it, and the rest is cut off now.
        self._pacing.stop()
        self._cut(at if at > self._interval_start else monotonic_ns())
        self.stage = name
        self.context.recording = record
        self.context.books.enter(name)

    def _start_churn(self) -> None:
        if not self.context.churning:
            self.context.churning = True
            for client in self.clients:
                client.begin_life()

    def _start_connects(self, at: int, rate: float, groups: tuple[str, ...]) -> None:
        offsets: dict[str, int] = {}
        total = 0
        for name in groups:
            offsets[name] = total
            total += self.shard.groups[name].clients
        queue = [
            (at + int((offsets[client.plan.group] + client.plan.index) * _SECOND / rate), client)
            for client in self.clients
            if client.plan.group in offsets and client.phase is Phase.IDLE
        ]
        queue.sort(key=lambda entry: entry[0], reverse=True)
        self._connecting = {client.plan.number for _, client in queue}
        self._connect_due(queue)

    def _connect_due(self, queue: list[tuple[int, Client]]) -> None:
        """Start the connects that are due, one a turn of the loop, so that a storm leaves room for others."""
        if self.context.stopping or not queue:
            return
        due, client = queue[-1]
        wait = due - monotonic_ns()
        if wait <= 0:
            queue.pop()
            if client.phase is Phase.IDLE:  # else an earlier connect stage that ran out of time came to it
                client.connect(due)
                self._wheel.add(client)
            self._connect_timer = self._loop.call_soon(self._connect_due, queue)
        else:
            self._connect_timer = self._loop.call_later(max(wait / 1e9, 0.001), self._connect_due, queue)

    def _settled(self, client: ClientState) -> None:
        if client.plan.number in self._connecting:
            self._connecting.discard(client.plan.number)
            if not self._connecting and not self.context.publishing:
                self._loop.call_soon(give_back_memory)

    # -- looking ---------------------------------------------------------------------------------

    def progress(self) -> dict[str, int]:
        """The counts of `Progress`, now."""
        phases = self.context.phases
        ready = failed = 0
        for (_, phase), count in phases.items():
            if phase is Phase.READY:
                ready += count
            elif phase is Phase.FAILED:
                failed += count
        counts = self.context.counts
        return {
            "ready": ready,
            "failed": failed,
            "pending": len(self._connecting),
            "away": self.context.outages.away,
            "inflight": counts.inflight,
            "backlog": counts.backlog,
            "expected": counts.expected,
            "unique": counts.unique,
        }

    def _arm_interval(self) -> None:
        wait = (self._boundary - monotonic_ns()) / 1e9
        self._interval_timer = self._loop.call_later(max(wait, 0.001), self._interval_over)

    def _interval_over(self) -> None:
        now = monotonic_ns()
        # The loop counts in milliseconds and may wake us before the boundary; then wait for the rest of it.
        if now >= self._boundary:
            self._boundary += ((now - self._boundary) // _SECOND + 1) * _SECOND
            self._cut(now)
        self._arm_interval()

    def _cut(self, now: int, *, last: bool = False) -> None:
        """End the interval here and report it; `last`: with all that is left to report."""
        if not self._origin or now <= self._interval_start:
            return
        for client in self.clients:
            client.account_traffic()
        # The middle decides which second an interval belongs to: timers may be a little early or late.
        middle = (self._interval_start + now) // 2
        interval = max((middle - self._origin) // _SECOND, 0)
        start, self._interval_start = self._interval_start, now
        for stage, recorder in self.context.books.closed():
            # No time of its own: it belongs to a stage whose seconds are over.
            late = recorder.snapshot(interval=interval, start_ns=now, end_ns=now, stage=stage)
            if late.histograms:
                self._report(late, [], 0, [])
        tenths = self._curve.interval_ends(last=last)
        snapshot = self._recorder.snapshot(
            interval=interval, start_ns=start, end_ns=now, stage=self.stage, gauges=self._gauges()
        )
        snapshot.tenths = tenths
        outages = self.context.outages
        events, self.context.events = self.context.events, []
        events += outages.events(now, last=last)
        dropped, self.context.events_dropped = self.context.events_dropped, 0
        if last:
            dropped += outages.unwritten
        self._report(snapshot, events, dropped, outages.take(last=last))

    def _gauges(self) -> dict[str, float]:
        gauges: dict[str, float] = {}
        for (group, phase), count in self.context.phases.items():
            if phase in (Phase.SUBSCRIBING, Phase.READY, Phase.LEAVING):
                gauges[f"connected|{group}"] = gauges.get(f"connected|{group}", 0) + count
            if phase is Phase.READY:
                gauges[f"ready|{group}"] = count
            elif phase is Phase.FAILED:
                gauges[f"failed|{group}"] = count
        for node, count in self.context.connected_by_node.items():
            gauges[f"connected_node|{self.shard.target.node_names[node]}"] = count
        gauges["inflight"] = self.context.counts.inflight
        gauges["backlog"] = self.context.counts.backlog
        gauges["cpu_seconds"], gauges["rss"] = process_usage()
        return gauges

    # -- ending ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Disconnect every client cleanly and report the last interval; once, later calls do nothing."""
        if self.context.stopping:
            return
        self.context.stopping = True
        try:
            self._pacing.stop()
        finally:
            # Also when a bug of ours is what ends the run: the brokers shall not be left with our sessions.
            await self._end()

    async def _end(self) -> None:
        for timer in self._stage_timers:
            timer.cancel()
        if self._connect_timer is not None:
            self._connect_timer.cancel()
        self.certificates.stop()
        self._wheel.stop()
        await self._disconnect()
        self._probe.stop()
        self._curve.stop()
        if self._interval_timer is not None:
            self._interval_timer.cancel()
        self._cut(monotonic_ns(), last=True)
        if self._collector is not None:
            gc.set_threshold(*self._collector)
            gc.unfreeze()

    async def _disconnect(self) -> None:
        """End every connection and wait until they are gone, so that the brokers have our DISCONNECTs."""
        ending = asyncio.Semaphore(0)
        connections = 0
        for turn, client in enumerate(self.clients):
            client.run_over()
            connections += client.stop(ending.release)
            if turn % _CLOSES_PER_TURN == _CLOSES_PER_TURN - 1:
                await asyncio.sleep(0)
        for _ in range(connections):
            await ending.acquire()

    def mark(self, number: int, edge: str) -> None:
        """Note how far every publisher is: an edge of fault `number`'s window."""
        sent = [stream.log.sent for client in self.clients for stream in client.streams]
        self._marks.append((number, edge, sent))

    def marks(self) -> dict[int, dict[str, dict[int, int]]]:
        """Fault number → edge → publisher → the sequence number it was to send next."""
        publishers = [stream.publisher for client in self.clients for stream in client.streams]
        marks: dict[int, dict[str, dict[int, int]]] = {}
        for number, edge, sent in self._marks:
            marks.setdefault(number, {})[edge] = dict(zip(publishers, sent, strict=True))
        return marks

    def tls_in_use(self) -> tuple[str, str] | None:
        """(TLS version, cipher) of a connected client, None when there is none."""
        return next((used for client in self.clients if (used := client.tls) is not None), None)

    def ledger(self) -> tuple[dict[int, Any], dict[int, Any]]:
        """(publisher number → log, client number → log), both in wire form."""
        publishers = {
            stream.publisher: stream.log.to_wire() for client in self.clients for stream in client.streams
        }
        subscribers = {
            client.plan.number: client.log.to_wire() for client in self.clients if client.log is not None
        }
        return publishers, subscribers
