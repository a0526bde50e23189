"""One MQTT client: connects, subscribes, publishes when told, keeps alive, reconnects, and records it all.

Its parts are one object, in files by what they do: `client_state`, `client_sending`, `client_receiving`,
`client_churn`, `client_renewal`, and here the life of its connections.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.engine.backoff import Backoff
from loadgen.engine.client_renewal import Renewing
from loadgen.engine.dialing import dial_from
from loadgen.engine.node_order import next_place
from loadgen.engine.phase import PHASE_WORDS, Phase, is_permanent
from loadgen.engine.transport import Connection, cause_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_SECOND = 1_000_000_000


class Client(Renewing):
    """See the module's docstring. Driven by the event loop's callbacks; owns no task but one per connect."""

    __slots__ = ()

    # -- connecting ------------------------------------------------------------------------------

    def connect(self, due: int) -> None:
        """Start connecting; `due` is the intended time, monotonic ns."""
        if self.phase is Phase.IDLE:
            self._connect_due = due
            self._open()

    def _open(self) -> None:
        """Start an attempt."""
        self._attempt += 1
        self._begin_again()
        self._started_at = monotonic_ns()
        self._set_phase(Phase.TCP)
        self._record_by_node()
        self._rec.connect_attempts += 1
        self._connection = Connection(self, self._make_tls, self._context.turns)
        self._opening = self._context.loop.create_task(self._open_tcp(self._connection))
        self._arm(self._group.tcp_timeout)

    async def _open_tcp(self, connection: Connection) -> None:
        """Connect to the first of the node's addresses that takes the connection."""
        loop = self._context.loop
        source = self._context.target.source(self.plan.number)
        *spare, last = self._context.addresses(self.node)
        try:
            for host, port in (*spare, last):
                try:
                    if source is None:
                        await loop.create_connection(lambda: connection, host, port)
                    else:
                        await dial_from(loop, connection, source, host, port)
                    break
                except OSError:
                    if (host, port) == last:
                        raise
        except OSError as error:
            connection.abort(cause_of(error))
        finally:
            # Whoever cancels us has let go of the connection; a later attempt has a task of its own.
            if self._connection is connection:
                self._opening = None

    def _make_tls(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """TCP is up (called by the connection)."""
        self._set_phase(Phase.TLS)
        self._arm(self._group.tls_timeout)
        self._shown = self.plan.identity
        return self._context.make_tls(self.plan.identity, self.node, incoming, outgoing)

    def secured(self) -> None:
        """TLS is up: send CONNECT (called by the connection)."""
        connection = self._connection
        assert connection is not None
        self._set_phase(Phase.MQTT)
        self._arm(self._group.connack_timeout)
        self._session.connect(clean=bool(self._lost_at) and not self._group.resume)
        self.last_sent = self.last_received = connection.secured_at
        connection.send(self._session.take())

    # -- losing ----------------------------------------------------------------------------------

    def lost(self, cause: str) -> None:
        """The connection is gone or could not be made (called by the connection, once)."""
        self._disarm()
        phase = self.phase
        now = monotonic_ns()
        rec = self._rec
        connection, self._connection = self._connection, None
        if connection is not None:
            self._account(connection)
        if phase >= Phase.WAITING or phase is Phase.IDLE:
            return
        self._session.connection_lost()
        self._ping_sent_at = 0
        if phase is Phase.MQTT and connection is not None:
            self._waited_for_connack(connection, now, cause)
        if phase in (Phase.READY, Phase.LEAVING) or (phase is Phase.SUBSCRIBING and self._subscribed_once):
            rec.disconnects += 1
            self._failed_in_step(cause, connected=True)
            rec.count_code("disconnect_codes", cause)
            self._outage_begins(cause, now)
            if not self._group.resend:
                self._abandon(now)
            self._lost_at = now
            # Lost again before anything got through: it is the same outage.
            self._down_since = self._down_since or now
            self._connect_due = now
            if self._context.recording and self.last_received:
                rec.detect_time.append(now - self.last_received)
        else:
            rec.connect_failures += 1
            self._failed_in_step(cause, connected=False)
            # What is wrong with a certificate names its file; a code for each of thousands is no count.
            code = "certificate" if cause.startswith("certificate:") else cause
            rec.count_code("connect_errors", f"{PHASE_WORDS[phase]}:{code}")
            self._attempt_failed(phase, code, now)
        self._context.note("lost", self, phase=PHASE_WORDS.get(phase, "ready"), cause=cause)
        self._retry(cause)

    def _retry(self, cause: str) -> None:
        group = self._group
        permanent = not self._was_ready and is_permanent(cause)
        spent = group.max_attempts is not None and self._attempt >= group.max_attempts
        if permanent or spent or not group.reconnect or self._context.stopping:
            self._give_up()
            return
        self._set_phase(Phase.WAITING)
        if self._backoff is None:
            seed = self._context.seed ^ (self.plan.number << 20)
            self._backoff = Backoff(group.backoff_min, group.backoff_max, seed, jitter=group.jitter == "full")
        self._moves += 1
        chance = self._context.seed ^ (self.plan.number << 20) ^ (self._moves << 44)
        self._place = next_place(self.plan.nodes, self._place, group.reconnect_order, self._attempt, chance)
        wait = self._backoff.next()
        if self._outage is not None and not self._outage.ended:
            self._outage.waited += wait
        self._timer = self._context.loop.call_later(wait / 1e9, self._reopen)

    def _reopen(self) -> None:
        self._timer = None
        if self._context.stopping:
            self._give_up()
            return
        self._open()

    # -- keeping alive ---------------------------------------------------------------------------

    def check_alive(self, now: int) -> None:
        """Ping when it was quiet for long enough; give the connection up when a ping stays unanswered."""
        keep_alive = self._session.keep_alive
        connection = self._connection
        if not keep_alive or connection is None or self.phase < Phase.SUBSCRIBING:
            return
        if self._ping_sent_at:
            timeout = self._context.target.ping_timeout or keep_alive * (_SECOND // 2)
            if self.last_received > self._ping_sent_at:
                self._ping_sent_at = 0
            elif now - self._ping_sent_at > timeout:
                connection.abort("keep-alive")
            return
        quiet = min(self.last_sent, self.last_received)
        if now - quiet >= _ping_after(keep_alive):
            self._session.ping()
            self._ping_sent_at = now
            self._flush()

    # -- ending ----------------------------------------------------------------------------------

    def stop(self, gone: Callable[[], None]) -> bool:
        """Disconnect cleanly, ending the broker's session, and settle the account.

        Returns:
            Whether there was a connection to end; `gone` is called when it is gone.
        """
        phase = self.phase
        self._cancel_opening()
        self._disarm()
        connection, self._connection = self._connection, None
        if self.log is not None and phase not in (Phase.READY, Phase.LEAVING):
            # Away at the end, or never subscribed: whatever it missed was not promised to arrive before the
            # end.
            self.log.session_lost(promised=False)
        self._drop_backlog()
        if phase is not Phase.FAILED:
            self._record_unanswered(self._session.unacknowledged_tokens(), monotonic_ns())
        self._set_phase(Phase.CLOSED)
        if connection is None:
            return False
        self._say_goodbye(connection)
        return connection.finish(gone)


def _ping_after(keep_alive: int) -> int:
    """Nanoseconds of silence before a ping: a second early, as checks come once a second."""
    return max(keep_alive * _SECOND - _SECOND, keep_alive * (_SECOND // 2))
