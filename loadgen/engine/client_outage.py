"""A client's outages: what it lived through from the loss of a connection until it is ready again.

Nothing here runs for each message but the first one after an outage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.engine.client_state import ClientState
from loadgen.engine.outage_log import FOLLOWED_UP
from loadgen.engine.phase import PHASE_WORDS, Phase
from loadgen.metrics.outage import BACK, GAVE_UP, RUN_OVER, SLOW_CONNACK, Attempt, Outage

if TYPE_CHECKING:
    from loadgen.engine.context import FleetContext
    from loadgen.engine.transport import Connection
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings

_TAKEN_OVER = "disconnect:0x8E"
_STALE = 600_000_000_000
"""A CONNECT that we gave up longer ago than this (ns) will not be answered any more: 395 s were seen."""


class Enduring(ClientState):
    """What a client notes of its outages."""

    __slots__ = ("_awaits_ack", "_awaits_delivery", "_outage", "_unanswered_connect")

    def __init__(
        self, context: FleetContext, plan: ClientPlan, group: GroupSettings, recorder: GroupRecorder
    ) -> None:
        """Start with none."""
        super().__init__(context, plan, group, recorder)
        self._outage: Outage | None = None
        """The last one, whether it is over or not."""
        self._awaits_ack = False
        """No publish was acknowledged since the last loss."""
        self._awaits_delivery = False
        """No message came since the last loss."""
        self._unanswered_connect = 0
        """When a CONNECT was given up without an answer, last; 0 when that never happened."""

    @property
    def away(self) -> bool:
        """Whether it was ready once and is not there, against our will."""
        if not self._was_ready or self.phase in (Phase.READY, Phase.LEAVING, Phase.AWAY):
            return False
        # The first attempt after a planned pause is no sign of trouble.
        return bool(self._lost_at) or self.phase >= Phase.WAITING

    def _outage_begins(self, cause: str, now: int) -> None:
        """An established connection is gone."""
        if cause == _TAKEN_OVER and self._unanswered_connect > now - _STALE:
            # The broker came to a CONNECT that we had given up, and it took this connection's place.
            self._rec.takeovers += 1
        self._awaits_ack = self._awaits_delivery = True
        names = self._context.node_names
        outage = self._outage
        if outage is None or outage.ended:
            plan = self.plan
            self._outage = outage = Outage(
                plan.number,
                plan.client_id,
                plan.group,
                names[self.node],
                cause,
                self.last_received,
                now,
                awaits_ack=any(stream.qos for stream in self.streams),
                awaits_delivery=bool(plan.filters),
            )
            self._context.outages.away += 1
            self._context.outages.tell(outage)
        else:  # cut off before it was ready again
            self._attempt_failed(Phase.SUBSCRIBING, cause, now)

    def _begin_again(self) -> None:
        """Another attempt after a loss."""
        if self._outage is not None and not self._outage.ended:
            self._outage.attempt_count += 1

    def _attempt_failed(self, phase: Phase, cause: str, now: int) -> None:
        outage = self._outage
        if outage is not None and not outage.ended:
            node = self._context.node_names[self.node]
            outage.attempted(Attempt(node, self._started_at, now, PHASE_WORDS[phase], cause))

    def _waited_for_connack(self, connection: Connection, now: int, cause: str = "") -> None:
        """CONNECT was answered at last, or is not waited for any longer: for a `cause`."""
        if cause == "timeout":
            self._unanswered_connect = now
        wait = now - connection.secured_at
        self._rec.slow_connacks += wait > SLOW_CONNACK
        if self._outage is not None and not self._outage.ended:
            self._outage.waited_for_connack(wait)

    def _outage_admitted(self, now: int, *, session_present: bool) -> None:
        """CONNACK with success."""
        outage = self._outage
        if outage is not None and not outage.ended:
            outage.connack, outage.session_present, outage.suback = now, session_present, 0

    def _outage_subscribed(self, now: int) -> None:
        """SUBACK."""
        if self._outage is not None and not self._outage.ended:
            self._outage.suback = now

    def _outage_over(self, now: int) -> None:
        """Connected and subscribed again."""
        outage = self._outage
        assert outage is not None
        node = self._context.node_names[self.node]
        outage.attempted(Attempt(node, self._started_at, now, BACK, BACK))
        outage.ready, outage.ready_node, outage.ended = now, node, BACK
        self._context.outages.away -= 1
        self._context.outages.over(outage)

    def _outage_for_good(self) -> None:
        """The client makes no further attempt."""
        if self._outage is not None and not self._outage.ended:
            self._outage.ended = RUN_OVER if self._context.stopping else GAVE_UP
            self._context.outages.over(self._outage)

    def run_over(self) -> None:
        """The run ends, whatever the client is at."""
        if self._outage is not None and not self._outage.ended:
            self._outage.ended = RUN_OVER
            self._context.outages.over(self._outage)

    # -- what gets through again -----------------------------------------------------------------

    def _first_ack(self, now: int) -> None:
        """A publish was acknowledged, for the first time since a loss."""
        self._awaits_ack = False
        self._recovered(now)
        if self._outage is not None:
            self._outage.first_ack = now
            self._followed_up(self._outage, "first_ack", now)

    def _first_delivery(self, now: int) -> None:
        """A message of the run came, for the first time since a loss."""
        self._awaits_delivery = False
        self._recovered(now)
        if self._outage is not None:
            self._outage.first_delivery = now
            self._followed_up(self._outage, "first_delivery", now)

    def _followed_up(self, outage: Outage, what: str, now: int) -> None:
        self._context.outages.tell(outage)
        if outage.ended and now - outage.ready > FOLLOWED_UP:
            # Its event is written already.
            self._context.note(what, self, seconds=(now - outage.noticed) / 1e9)

    def _recovered(self, now: int) -> None:
        """A message got through, one way or the other: the outage is over for this client."""
        if self._down_since:
            if self._context.recording:
                self._rec.recovery_time.append(now - self._down_since)
            self._down_since = 0
