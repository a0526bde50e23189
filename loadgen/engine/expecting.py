"""A client of a group that says what the brokers must answer: it takes the first answer and judges it."""

from __future__ import annotations

import re
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.engine.client import Client
from loadgen.engine.phase import PHASE_WORDS, Phase
from loadgen.metrics.recorder import GroupRecorder
from loadgen.plan.expectation import ACCEPTED, ALERT, CLOSED, CLOSED_EARLY

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from loadgen.engine.client_state import ClientState
    from loadgen.engine.context import FleetContext
    from loadgen.engine.stream import Stream
    from loadgen.plan.expectation import Expectation
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings

NO_ANSWER = "no answer"

Answers = dict[str, dict[str, tuple[int, int]]]
"""Group → answer → (clients that got it, ns until the slowest of them had it)."""

_ALERT = re.compile(r"tls:.*alert_(\w+)")


def answer_of(phase: Phase, cause: str) -> str:
    """Name the answer that ended a connection, as `Expectation` names them; else what went wrong in words.

    Args:
        phase: where the connection was.
        cause: as `Connection` gives it, or `refused:0x86`, or `disconnect:0x8E`.
    """
    if cause.startswith("refused:"):
        return f"CONNACK {cause.removeprefix('refused:')}"
    if cause.startswith("disconnect:"):
        return f"DISCONNECT {cause.removeprefix('disconnect:')}"
    if alert := _ALERT.fullmatch(cause):
        return f"{ALERT}{alert[1]}"
    if cause in {"closed", "reset"} and phase >= Phase.MQTT:
        return CLOSED_EARLY if phase is Phase.MQTT else CLOSED
    if cause.startswith("certificate:"):
        return "certificate not usable"  # the reason names its file: one answer for each of thousands
    return f"{PHASE_WORDS.get(phase, 'connection')}: {cause}"


class ExpectingClient(Client):
    """See the module's docstring.

    Where a refusal is expected the client is in no metric, does not reconnect, and its first answer is its
    last; any other group goes on as usual once it was accepted.
    """

    __slots__ = ("_expect", "_limit", "_since", "answer", "answered_after")

    def __init__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> None:
        """Start idle."""
        assert group.expect is not None
        self._expect: Expectation = group.expect
        own = GroupRecorder(group.name) if self._expect.refused else recorder
        super().__init__(context, plan, group, own, factories)
        self.answer = ""
        """What the broker answered; empty until it has."""
        self.answered_after = 0
        """How long it took, ns."""
        self._since = 0
        self._limit: asyncio.TimerHandle | None = None

    @property
    def refused(self) -> bool:
        """Whether the broker is to refuse it."""
        return self._expect.refused

    @property
    def away(self) -> bool:
        """Whether it was ready once and is not there, against our will."""
        return not self.refused and super().away

    def _outage_begins(self, cause: str, now: int) -> None:
        if not self.refused:
            super()._outage_begins(cause, now)

    # -- what tells the answer -------------------------------------------------------------------

    def connect(self, due: int) -> None:
        """Start connecting, and the time limit with it."""
        super().connect(due)
        self._watch_for_answer()

    def _ready(self) -> None:
        super()._ready()
        if self.answer:
            return
        if not self._expect.refused:
            self._note(ACCEPTED)
        elif not self._expect.later:
            self._note(ACCEPTED)
            self._give_up()
        elif self.streams:
            self._unwatch()  # until it publishes
        else:
            self._watch_for_answer()

    def publish(self, stream: Stream, intended: int) -> None:
        """Publish what is due, as long as the broker takes it."""
        if not self._expect.refused:
            super().publish(stream, intended)
        elif not self.answer and self.phase is Phase.READY:
            if self._limit is None:
                self._watch_for_answer()
            super().publish(stream, intended)

    def _granted(self, reasons: Sequence[int], now: int) -> bool:
        wanting = [
            reason
            for reason, wanted in zip(reasons, self.plan.filters, strict=True)
            if reason >= 0x80 or reason < wanted.qos
        ]
        if wanting:
            self._note(f"SUBACK 0x{wanting[0]:02X}")
        return super()._granted(reasons, now)

    def _retry(self, cause: str) -> None:
        self._note(answer_of(self.phase, cause))
        if self._expect.refused or not self._was_ready:
            self._give_up()
        else:
            super()._retry(cause)

    def _give_up(self) -> None:
        super()._give_up()
        if self._expect.refused:
            self._set_phase(Phase.REFUSED)

    def _record_unanswered(self, tokens: Iterable[object], now: int) -> None:
        if not self._expect.refused:
            super()._record_unanswered(tokens, now)

    def stop(self, gone: Callable[[], None]) -> bool:
        """End as every client does; who has no answer by now gets none."""
        if self.phase is not Phase.IDLE:
            self._note(ACCEPTED if self._was_ready else NO_ANSWER)
        return super().stop(gone)

    # -- the time limit --------------------------------------------------------------------------

    def _watch_for_answer(self) -> None:
        """Wait for the answer from now on."""
        self._unwatch()
        self._since = monotonic_ns()
        self._limit = self._context.loop.call_later(self._expect.within / 1e9, self._too_late)

    def _unwatch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _too_late(self) -> None:
        self._limit = None
        connected = self.phase in (Phase.READY, Phase.LEAVING)
        self._note(ACCEPTED if connected else NO_ANSWER)
        if connected or self._connection is None:
            self._give_up()
        else:
            self._cancel_opening()
            self._connection.abort("timeout")

    def _note(self, answer: str) -> None:
        """Take the first answer, whatever comes after it."""
        self._unwatch()
        if not self.answer:
            self.answer = answer
            self.answered_after = monotonic_ns() - self._since if self._since else 0
            self._context.note("answered", self, answer=answer, seconds=self.answered_after / 1e9)


def answers_of(clients: Iterable[ClientState]) -> Answers:
    """Add up what the clients that expect an answer got."""
    found: Answers = {}
    for client in clients:
        if isinstance(client, ExpectingClient):
            of_group = found.setdefault(client.plan.group, {})
            count, slowest = of_group.get(client.answer, (0, 0))
            of_group[client.answer] = count + 1, max(slowest, client.answered_after)
    return found


def never_connected(clients: Iterable[ClientState]) -> tuple[int, int]:
    """Count (clients that should have been connected and never were, others that never were)."""
    wanted = refused = 0
    for client in clients:
        if not client.was_ready:
            if isinstance(client, ExpectingClient) and client.refused:
                refused += 1
            else:
                wanted += 1
    return wanted, refused
