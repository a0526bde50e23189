"""The sending half of a client: publishes that are due, and those the connection does not take at once."""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

from loadgen.engine.client_outage import Enduring
from loadgen.engine.phase import Phase
from loadgen.engine.stream import InFlight, Stream
from loadgen.mqtt.core import ForbiddenError
from loadgen.mqtt.state import State
from loadgen.plan.payload import PayloadFactory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.engine.context import FleetContext
    from loadgen.engine.transport import Connection
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings

_BLOCKED = 0
_REFUSED = -1


class Sending(Enduring):
    """What a client does with the messages its streams ask for."""

    __slots__ = ()

    def __init__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> None:
        """Prepare; `factories` are those of the stream definitions, by number."""
        super().__init__(context, plan, group, recorder)
        self.streams = tuple(
            Stream(
                self,
                each,
                factories[each.stream]
                if each.content is None
                else PayloadFactory(context.run_id, 0, each.content),
            )
            for each in plan.streams
        )

    def publish(self, stream: Stream, intended: int) -> None:
        """Publish now what was due at `intended`, or hold it back if the connection does not take it."""
        connection = self._connection
        if (
            self.phase is Phase.READY
            and not self._backlog
            and connection is not None
            and connection.writable
            and (sent := self._publish_now(stream, intended))
        ):
            if sent > 0:
                connection.send(self._session.take())
                self.last_sent = sent
                if (rec := self._context.books.recorder(intended, self._rec)) is not None:
                    rec.send_lag.append(sent - intended)
            return
        phase = self.phase
        if phase >= Phase.FAILED:
            self._drop(stream)
            return
        if (phase is Phase.AWAY or phase is Phase.LEAVING) and not self._step_leaving:
            # It is not there, as planned: neither late nor dropped.
            self._rec.skipped += 1
            stream.log.not_attempted += 1
            return
        backlog = self._backlog
        if backlog is None:
            backlog = self._backlog = deque()
        if len(backlog) >= self._group.max_backlog:
            self._drop(stream)
            return
        backlog.append((stream, intended))
        self._counts.backlog += 1

    def _publish_now(self, stream: Stream, intended: int) -> int:
        """When it was handed to the session; 0 when the quota blocks it, -1 when it is impossible."""
        log = stream.log
        sequence = log.sent
        sent = monotonic_ns()
        payload = stream.payloads.make(stream.publisher, sequence, intended)
        try:
            if not self._session.publish(
                stream.topic, payload, stream.qos, (stream, sequence, intended, sent), stream.options
            ):
                return _BLOCKED
        except ForbiddenError as error:
            # The broker's CONNACK forbids it: too large, a QoS or retained messages it does not have.
            self._drop(stream)
            self._rec.count_code("publish_refusals", error.why)
            self._context.note_once("publish_impossible", self, error=str(error))
            return _REFUSED
        log.sent = sequence + 1
        self._rec.published += 1
        counts = self._counts
        counts.expected += stream.fanout
        if stream.qos:
            counts.inflight += 1
        return sent

    def _drop(self, stream: Stream) -> None:
        self._rec.dropped += 1
        stream.log.not_attempted += 1

    def _send_backlog(self) -> None:
        """Send what was held back, as far as the connection and the broker's quota take it."""
        backlog = self._backlog
        connection = self._connection
        if backlog is None or connection is None:
            return
        # Each goes out at once, so that the connection can say stop; sending may even find it lost.
        while backlog and connection.writable and self._connection is connection:
            stream, intended = backlog[0]
            sent = self._publish_now(stream, intended)
            if sent == _BLOCKED:
                break
            backlog.popleft()
            self._counts.backlog -= 1
            if sent > 0:
                self._rec.late += 1
                self._flush()
        if not backlog:
            self._backlog = None

    def _drop_backlog(self) -> None:
        """Count what will never be sent."""
        backlog, self._backlog = self._backlog, None
        for stream, _ in backlog or ():
            self._counts.backlog -= 1
            self._drop(stream)

    def writable_again(self) -> None:
        """The kernel takes bytes again (called by the connection)."""
        if self._backlog and self.phase is Phase.READY:
            self._send_backlog()

    def _flush(self) -> None:
        data = self._session.take()
        if data and self._connection is not None:
            self.last_sent = monotonic_ns()
            self._connection.send(data)

    # -- the two ways a connecting client settles ---------------------------------------------------

    def _ready(self) -> None:
        if self._lost_at:
            self._outage_over(monotonic_ns())
        self._lost_at = self._left_at = self._attempt = 0
        self._backoff = None
        self._was_ready = True
        self._set_phase(Phase.READY)
        self._context.settled(self)
        if self._backlog:
            self._send_backlog()

    def _give_up(self) -> None:
        """Be gone for the rest of the run: nothing more is sent, and nothing of it is waited for."""
        self._set_phase(Phase.FAILED)
        self._outage_for_good()
        self._disarm()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._say_goodbye(connection)
            connection.finish()
        self._drop_backlog()
        self._record_unanswered(self._session.unacknowledged_tokens(), monotonic_ns())
        self._counts.inflight -= self._session.unacknowledged
        self._context.settled(self)

    def _abandon(self, now: int) -> None:
        """Give up what was sent and not acknowledged, so that it is not sent again."""
        tokens = self._session.abandon()
        self._rec.abandoned += len(tokens)
        self._record_unanswered(tokens, now)
        self._counts.inflight -= len(tokens)

    def _record_unanswered(self, tokens: Iterable[object], now: int) -> None:
        """Record how long publishes have waited that will get no answer any more: at least that.

        Left out, they would make the percentiles better the worse the broker is.
        """
        for token in cast("Iterable[InFlight]", tokens):
            _, _, intended, sent = token
            self._rec.unanswered += 1
            if (book := self._context.books.recorder(intended, self._rec)) is not None:
                book.publish_latency.append(now - intended)
                book.publish_service_time.append(now - sent)

    def _say_goodbye(self, connection: Connection) -> None:
        """Send DISCONNECT where MQTT allows one, and end the broker's session with it."""
        if self._session.state is State.CONNECTED:
            # Expiry 0: leave no session and no queue behind on the broker [MQTT-3.14.2.2.2].
            self._session.disconnect(0, session_expiry=0 if self._group.session_expiry else None)
            connection.send(self._session.take())
        self._account(connection)
