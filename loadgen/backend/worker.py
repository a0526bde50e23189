"""A worker: runs one shard as the coordinator says, inline or in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.backend.messages import (
    Account,
    Accounted,
    Begin,
    ChangeCertificates,
    Failed,
    Final,
    Finish,
    MarkPublishers,
    Message,
    Progress,
    Ready,
    Report,
    Setup,
    StartStage,
    Trust,
)
from loadgen.engine.expecting import answers_of, never_connected
from loadgen.engine.fleet import Fleet
from loadgen.engine.health import peak_rss, process_usage
from loadgen.errors import LoadgenError
from loadgen.metrics.packed import pack_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadgen.metrics.outage import OutageWire
    from loadgen.metrics.snapshot import Snapshot

_PROGRESS_EVERY = 0.2  # s
_OURS = ("loadgen.engine", "loadgen.mqtt", "loadgen.plan", "loadgen.metrics", "loadgen.backend")


class Worker:
    """Takes messages from an inbox and answers through `send`; None in the inbox: the coordinator is gone."""

    def __init__(self, inbox: asyncio.Queue[Message | None], send: Callable[[Message], None]) -> None:
        """Wait for a Setup."""
        self._inbox = inbox
        self._send = send
        self._number = -1
        self._fleet: Fleet | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._cpu_before = 0.0

    async def run(self) -> None:
        """Work until Finish, a failure of ours, or the end of the coordinator; never raises."""
        with self._watching_callbacks():
            try:
                while (message := await self._inbox.get()) is not None:
                    if await self._take(message):
                        return
            except LoadgenError as error:
                self._send(Failed(self._number, error.what, error.mend, int(error.exit_code)))
            except Exception as error:  # noqa: BLE001 - the coordinator must hear of a bug here, whatever it is
                self._send(Failed(self._number, _described(error)))
            finally:
                if self._progress_timer is not None:
                    self._progress_timer.cancel()
                if self._fleet is not None:
                    # After a failure too: inline, a fleet left alone would go on in the coordinator's loop.
                    with contextlib.suppress(Exception):
                        await self._fleet.stop()

    async def _take(self, message: Message) -> bool:
        """Act on one message; True when that was the last."""
        if isinstance(message, Setup):
            self._number = message.shard.number
            self._cpu_before = process_usage()[0]
            self._fleet = Fleet(message.shard, message.run_id, message.seed, self._report)
            await self._fleet.prepare()
            self._send(Ready(self._number, len(self._fleet.clients)))
            return False
        if isinstance(message, Failed):
            self._send(message)
            return True
        fleet = self._fleet
        assert fleet is not None, "Setup comes first"
        if isinstance(message, Begin):
            fleet.begin(message.origin)
            self._tell_progress()
        elif isinstance(message, StartStage):
            fleet.start_stage(
                message.name,
                message.kind,
                message.at,
                record=message.record,
                connect_rate=message.connect_rate,
                groups=message.groups,
            )
        elif isinstance(message, MarkPublishers):
            fleet.mark(message.number, message.edge)
        elif isinstance(message, ChangeCertificates):
            fleet.certificates.begin(
                message.step,
                message.changes,
                reconnect=message.reconnect,
                refusal_expected=message.refusal_expected,
            )
        elif isinstance(message, Trust):
            fleet.context.trust(Path(message.ca))
        elif isinstance(message, Account):
            self._send(Accounted(self._number, message.number, *fleet.ledger()))
        elif isinstance(message, Finish):
            await self._finish(fleet)
            return True
        return False

    async def _finish(self, fleet: Fleet) -> None:
        tls = fleet.tls_in_use()
        never, refused = never_connected(fleet.clients)
        away = sum(client.away for client in fleet.clients)
        await fleet.stop()
        answers = answers_of(fleet.clients)
        publishers, subscribers = fleet.ledger()
        cpu = process_usage()[0] - self._cpu_before
        steps = fleet.certificates.tallies
        self._send(
            Final(
                self._number,
                publishers,
                subscribers,
                never,
                cpu,
                peak_rss(),
                tls,
                away=away,
                marks=fleet.marks(),
                refused=refused,
                answers=answers,
                certificate_steps=steps,
            )
        )

    def _tell_progress(self) -> None:
        assert self._fleet is not None
        self._progress_timer = asyncio.get_running_loop().call_later(_PROGRESS_EVERY, self._tell_progress)
        fleet = self._fleet
        returning = fleet.certificates.returning()
        self._send(Progress(worker=self._number, stage=fleet.stage, returning=returning, **fleet.progress()))

    def _report(
        self, snapshot: Snapshot, events: list[dict[str, Any]], dropped: int, outages: list[OutageWire]
    ) -> None:
        self._send(Report(pack_snapshot(snapshot), snapshot.to_json(), events, dropped, outages))

    @contextlib.contextmanager
    def _watching_callbacks(self) -> Iterator[None]:
        """Let a bug in a callback (a pacer, a connection) fail the worker instead of passing unseen."""
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, Exception) and _is_ours(error):
                self._inbox.put_nowait(Failed(self._number, _described(error)))
            elif before is not None:
                before(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)
        try:
            yield
        finally:
            loop.set_exception_handler(before)


def _is_ours(error: Exception) -> bool:
    """Whether it came out of what a worker runs: inline, the coordinator's callbacks share the loop."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith(_OURS) for frame, _ in frames)


def _described(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
