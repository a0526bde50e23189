"""One MQTT client: connects, subscribes, publishes when told, keeps alive, reconnects, and records it all."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, TypeAlias

from mqtt5 import PublishPacket

from loadgen.engine.backoff import Backoff
from loadgen.engine.transport import Connection, cause_of
from loadgen.errors import LocalProtocolError
from loadgen.metrics.delivery import DUPLICATE, REORDERED, PublisherLog, SubscriberLog
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.events import (
    Acknowledged,
    BrokenRuleError,
    Connected,
    Disconnected,
    Event,
    Pong,
    Refused,
    Subscribed,
)
from loadgen.mqtt.session import Session
from loadgen.plan.payload import HEADER, HEADER_SIZE, MAGIC

if TYPE_CHECKING:
    import ssl

    from loadgen.engine.context import FleetContext
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import ClientPlan, StreamPlan
    from loadgen.plan.settings import GroupSettings


class Phase(enum.IntEnum):
    """Where a client is in its life; the order is that of a connection's making."""

    IDLE = 0
    TCP = 1
    TLS = 2
    MQTT = 3
    SUBSCRIBING = 4
    READY = 5
    WAITING = 6
    """Lost or refused; will try again after a back-off."""
    FAILED = 7
    """Gave up: refused for good, or out of attempts."""
    CLOSED = 8


_PHASE_WORDS = {Phase.TCP: "tcp", Phase.TLS: "tls", Phase.MQTT: "connack", Phase.SUBSCRIBING: "suback"}

# CONNACK codes that a retry cannot mend [MQTT-5 table 3-1]; the broker's state, not the moment, says no.
_PERMANENT = frozenset({0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99, 0x9A, 0x9B})

_NEVER_EXPIRES = 0xFFFFFFFF
"""A session expiry interval that means never [MQTT-3.1.2.11.2], seconds."""


Token: TypeAlias = "tuple[Stream, int, int, int]"
"""What a QoS 1 publish carries until its PUBACK: stream, sequence, intended ns, sent ns."""


class Stream:
    """One stream of one client, with its account of what was sent and acknowledged."""

    __slots__ = ("client", "fanout", "log", "payloads", "publisher", "qos", "topic")

    def __init__(self, client: Client, plan: StreamPlan, payloads: PayloadFactory) -> None:
        """Start with nothing sent."""
        self.client = client
        self.publisher = plan.publisher
        self.topic = plan.topic
        self.qos = plan.qos
        self.fanout = plan.fanout
        self.payloads = payloads
        self.log = PublisherLog(plan.qos)


class Client:
    """See the module's docstring. Driven by the event loop's callbacks; owns no task but one per connect."""

    __slots__ = (
        "_attempt",
        "_backlog",
        "_backoff",
        "_connect_due",
        "_connection",
        "_context",
        "_counts",
        "_group",
        "_lost_at",
        "_node",
        "_opening",
        "_ping_sent_at",
        "_rec",
        "_session",
        "_started_at",
        "_subscribe_at",
        "_subscribed",
        "_subscribed_once",
        "_timer",
        "_was_ready",
        "last_received",
        "last_sent",
        "log",
        "phase",
        "plan",
        "streams",
    )

    def __init__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> None:
        """Prepare; nothing is sent before `connect`."""
        self._context = context
        self._group = group
        self._rec = recorder
        self._counts = context.counts
        self.plan = plan
        self.phase = Phase.IDLE
        self._session = Session(
            SessionConfig(
                client_id=plan.client_id,
                clean_start=group.clean_start,
                session_expiry=group.session_expiry,
                keep_alive=group.keep_alive,
                receive_maximum=group.receive_maximum,
                user_properties=plan.user_properties,
            )
        )
        self.streams = tuple(Stream(self, each, factories[each.stream]) for each in plan.streams)
        self.log: SubscriberLog | None = SubscriberLog() if plan.filters else None
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._backlog: deque[tuple[Stream, int]] | None = None
        self._backoff: Backoff | None = None
        self._node = 0
        self._attempt = 0
        self._connect_due = 0
        self._started_at = 0
        self._subscribe_at = 0
        self._lost_at = 0
        self._ping_sent_at = 0
        self._subscribed = False
        self._subscribed_once = False
        self._was_ready = False
        self.last_sent = 0
        self.last_received = 0

    # -- connecting ------------------------------------------------------------------------------

    def connect(self, due: int) -> None:
        """Start connecting; `due` is the intended time, monotonic ns."""
        if self.phase is Phase.IDLE:
            self._connect_due = due
            self._open()

    @property
    def node(self) -> int:
        """Number of the node that the current or last attempt goes to."""
        return self.plan.nodes[self._node % len(self.plan.nodes)]

    def _open(self) -> None:
        self._attempt += 1
        self._started_at = monotonic_ns()
        self._set_phase(Phase.TCP)
        self._rec.connect_attempts += 1
        self._connection = Connection(self, self._make_tls)
        self._opening = self._context.loop.create_task(self._open_tcp(self._connection))
        self._arm(self._context.target.tcp_timeout)

    async def _open_tcp(self, connection: Connection) -> None:
        host, port = self._context.address(self.node)
        try:
            await self._context.loop.create_connection(lambda: connection, host, port)
        except asyncio.CancelledError:
            connection.close()
        except OSError as error:
            connection.abort(cause_of(error))
        else:
            if self._connection is connection and self.phase is Phase.TLS:
                self._arm(self._context.target.tls_timeout)
        finally:
            if self._connection is connection:
                self._opening = None

    def _make_tls(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        self._set_phase(Phase.TLS)
        return self._context.make_tls(self.plan.identity, self.node, incoming, outgoing)

    def _arm(self, timeout: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._context.loop.call_later(timeout / 1e9, self._timed_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        if self._opening is not None and self.phase is Phase.TCP:
            self._opening.cancel()
            self._opening = None
        if self._connection is not None:
            self._connection.abort("timeout")

    def secured(self) -> None:
        """TLS is up: send CONNECT (called by the connection)."""
        connection = self._connection
        assert connection is not None
        self._set_phase(Phase.MQTT)
        self._arm(self._context.target.connack_timeout)
        self._session.connect()
        self.last_sent = self.last_received = connection.secured_at
        connection.send(self._session.take())

    # -- what arrives ----------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Plain text arrived (called by the connection)."""
        now = self.last_received = monotonic_ns()
        session = self._session
        try:
            events = session.receive(data)
        except BrokenRuleError as error:
            self._on_events(error.events, now)
            self._context.note("protocol_error", self, error=str(error))
            self._flush()
            if self._connection is not None:
                self._connection.abort(f"protocol-error:0x{error.reason:02X}")
            return
        self._on_events(events, now)
        outgoing = session.take()
        if outgoing and self._connection is not None:
            self.last_sent = now
            self._connection.send(outgoing)
        if self._backlog and self.phase is Phase.READY:
            self._send_backlog()

    def _on_events(self, events: list[Event], now: int) -> None:
        for event in events:
            kind = type(event)
            if kind is PublishPacket:
                self._on_message(event, now)  # type: ignore[arg-type]
            elif kind is Acknowledged:
                self._on_acknowledged(event, now)  # type: ignore[arg-type]
            else:
                self._on_other(event, now)

    def _on_message(self, packet: PublishPacket, now: int) -> None:
        payload = packet.payload
        rec = self._rec
        log = self.log
        rec.received += 1
        if log is None or len(payload) < HEADER_SIZE or not payload.startswith(MAGIC):
            self._on_foreign()
            return
        _, _, run_id, publisher, sequence, intended = HEADER.unpack_from(payload)
        if run_id != self._context.run_id:
            self._on_foreign()
            return
        place = log.receive(publisher, sequence)
        if place == DUPLICATE:
            rec.duplicates += 1
        else:
            self._counts.unique += 1
            if place == REORDERED:
                rec.reordered += 1
        if self._context.records(intended):
            rec.delivery_latency.append(now - intended)

    def _on_foreign(self) -> None:
        self._rec.foreign += 1
        if self.log is not None:
            # The ledger calls these unexpected.
            self.log.foreign += 1

    def _on_acknowledged(self, event: Acknowledged, now: int) -> None:
        token: Token = event.token  # type: ignore[assignment]
        stream, sequence, intended, sent = token
        rec = self._rec
        self._counts.inflight -= 1
        if event.reason == 0:
            stream.log.ack(sequence)
            rec.acknowledged += 1
        else:
            # 0x10 (nobody subscribed) and 0x80 up: the broker promised nothing, so the ledger hears no acknowledgement.
            rec.count_code("puback_codes", f"0x{event.reason:02X}")
            rec.publish_errors += 1
            if event.reason >= 0x80:
                return
        if self._context.records(intended):
            rec.publish_latency.append(now - intended)
            rec.publish_service_time.append(now - sent)

    def _on_other(self, event: Event, now: int) -> None:
        if isinstance(event, Connected):
            self._on_connected(event, now)
        elif isinstance(event, Subscribed):
            self._on_subscribed(event, now)
        elif isinstance(event, Refused):
            self._on_refused(event)
        elif isinstance(event, Disconnected):
            if self._connection is not None:
                self._connection.abort(f"disconnect:0x{event.reason:02X}")
        elif isinstance(event, Pong):
            self._ping_sent_at = 0

    def _on_connected(self, event: Connected, now: int) -> None:
        connection = self._connection
        assert connection is not None
        self._disarm()
        rec = self._rec
        rec.connects += 1
        rec.count_code("connack_codes", "0x00")
        rec.tcp_connect.append(connection.tcp_at - self._started_at)
        rec.tls_handshake.append(connection.secured_at - connection.tcp_at)
        rec.mqtt_connect.append(now - connection.secured_at)
        if self._lost_at:
            rec.reconnect_time.append(now - self._lost_at)
            rec.reconnects += 1
        else:
            rec.connect_time.append(now - self._connect_due)
        rec.republished += event.resent
        rec.abandoned += len(event.abandoned)
        self._counts.inflight -= len(event.abandoned)
        self._context.note(
            "connected",
            self,
            session_present=event.session_present,
            attempts=self._attempt,
            seconds=(now - (self._lost_at or self._connect_due)) / 1e9,
        )
        self._attempt = 0
        self._backoff = None
        if self.plan.filters and not (event.session_present and self._subscribed):
            if self._subscribed_once and not event.session_present and self.log is not None:
                self.log.session_lost(promised=self._session_was_promised(now))
                rec.sessions_lost += 1
            # A session that is there may be from before this run, or have been cut off before it had our
            # subscriptions: only a SUBACK in this session says that they stand.
            self._subscribed = False
            self._set_phase(Phase.SUBSCRIBING)
            self._subscribe_at = now
            self._session.subscribe(self.plan.filters)
            self._arm(self._context.target.connack_timeout)
        else:
            self._ready()

    def _session_was_promised(self, now: int) -> bool:
        """Whether the broker had to keep the session until now: asked for, and not away for too long.

        One that was to end with the connection, or had expired, never promised what was missed meanwhile.
        """
        expiry = self._group.session_expiry
        if not expiry or self._group.clean_start:
            return False
        return expiry == _NEVER_EXPIRES or now - self._lost_at < expiry * 1_000_000_000

    def _on_subscribed(self, event: Subscribed, now: int) -> None:
        self._disarm()
        rec = self._rec
        rec.subscribe_time.append(now - self._subscribe_at)
        refused = False
        for reason, (_, asked) in zip(event.reasons, self.plan.filters, strict=True):
            rec.count_code("suback_codes", f"0x{reason:02X}")
            if reason >= 0x80 or reason < asked:
                refused = True
        if refused:
            rec.subscribe_failures += 1
            self._context.note("subscribe_refused", self, reasons=[f"0x{each:02X}" for each in event.reasons])
            self._give_up()
            return
        self._subscribed = True
        if not self._subscribed_once:
            self._subscribed_once = True
            if self._context.publishing and self.log is not None:
                self.log.late_start()
        self._ready()

    def _ready(self) -> None:
        self._lost_at = 0
        self._was_ready = True
        self._set_phase(Phase.READY)
        self._context.became_ready(self)
        if self._backlog:
            self._send_backlog()

    def _on_refused(self, event: Refused) -> None:
        code = f"0x{event.reason:02X}"
        self._rec.count_code("connack_codes", code)
        if self._connection is not None:
            self._connection.abort(f"refused:{code}")

    # -- losing ----------------------------------------------------------------------------------

    def lost(self, cause: str) -> None:
        """The connection is gone or could not be made (called by the connection, once)."""
        self._disarm()
        phase = self.phase
        now = monotonic_ns()
        rec = self._rec
        connection, self._connection = self._connection, None
        if connection is not None:
            rec.bytes_received += connection.bytes_in
            rec.bytes_sent += connection.bytes_out
        if phase >= Phase.WAITING or phase is Phase.IDLE:
            return
        self._session.connection_lost()
        self._ping_sent_at = 0
        if phase is Phase.READY or (phase is Phase.SUBSCRIBING and self._subscribed_once):
            rec.disconnects += 1
            rec.count_code("disconnect_codes", cause)
            self._lost_at = now
            self._connect_due = now
            rec.detect_time.append(now - self.last_received)
        else:
            rec.connect_failures += 1
            rec.count_code("connect_errors", f"{_PHASE_WORDS[phase]}:{cause}")
        self._context.note("lost", self, phase=_PHASE_WORDS.get(phase, "ready"), cause=cause)
        self._retry(cause)

    def _retry(self, cause: str) -> None:
        group = self._group
        permanent = not self._was_ready and _is_permanent(cause)
        spent = group.max_attempts is not None and self._attempt >= group.max_attempts
        if permanent or spent or not group.reconnect or self._context.stopping:
            self._give_up()
            return
        self._set_phase(Phase.WAITING)
        if self._backoff is None:
            seed = self._context.seed ^ (self.plan.number << 20)
            self._backoff = Backoff(group.backoff_min, group.backoff_max, seed)
        self._node += 1
        self._timer = self._context.loop.call_later(self._backoff.next() / 1e9, self._reopen)

    def _reopen(self) -> None:
        self._timer = None
        if self._context.stopping:
            self._give_up()
            return
        self._open()

    def _give_up(self) -> None:
        self._set_phase(Phase.FAILED)
        connection, self._connection = self._connection, None
        if connection is not None:
            self._account(connection)
            connection.close()
        self._disarm()
        self._context.became_failed(self)

    # -- publishing ------------------------------------------------------------------------------

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
            connection.send(self._session.take())
            self.last_sent = sent
            if self._context.records(intended):
                self._rec.send_lag.append(sent - intended)
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
        """The time it was handed to the session, or 0 when the receive maximum blocks it."""
        log = stream.log
        sequence = log.sent
        sent = monotonic_ns()
        payload = stream.payloads.make(stream.publisher, sequence, intended)
        try:
            if not self._session.publish(
                stream.topic, payload, stream.qos, (stream, sequence, intended, sent)
            ):
                return 0
        except LocalProtocolError as error:
            # The broker's CONNACK forbids it: too large, or a QoS it does not have.
            self._drop(stream)
            self._context.note_once("publish_impossible", self, error=str(error))
            return sent
        log.sent = sequence + 1
        rec = self._rec
        rec.published += 1
        self._counts.expected += stream.fanout
        if stream.qos:
            self._counts.inflight += 1
        return sent

    def _drop(self, stream: Stream) -> None:
        self._rec.dropped += 1
        stream.log.not_attempted += 1

    def _send_backlog(self) -> None:
        backlog = self._backlog
        connection = self._connection
        if backlog is None or connection is None:
            return
        rec = self._rec
        while backlog and connection.writable:
            stream, intended = backlog[0]
            if not self._publish_now(stream, intended):
                break
            backlog.popleft()
            self._counts.backlog -= 1
            rec.late += 1
        if not backlog:
            self._backlog = None
        self._flush()

    def writable_again(self) -> None:
        """The kernel takes bytes again (called by the connection)."""
        if self._backlog and self.phase is Phase.READY:
            self._send_backlog()

    def _flush(self) -> None:
        data = self._session.take()
        if data and self._connection is not None:
            self.last_sent = monotonic_ns()
            self._connection.send(data)

    @property
    def was_ready(self) -> bool:
        """Whether it was connected and subscribed at least once."""
        return self._was_ready

    @property
    def tls(self) -> tuple[str, str] | None:
        """(TLS version, cipher) of the connection, None while there is none."""
        return self._connection.cipher if self._connection is not None else None

    # -- keeping alive ---------------------------------------------------------------------------

    @property
    def keep_alive(self) -> int:
        """Effective keep-alive in seconds: the broker's wins over ours."""
        return self._session.keep_alive

    def check_alive(self, now: int) -> None:
        """Ping when nothing went either way for long enough; give the connection up when a ping stays unanswered."""
        keep_alive = self._session.keep_alive
        connection = self._connection
        if not keep_alive or connection is None or self.phase < Phase.SUBSCRIBING:
            return
        if self._ping_sent_at:
            timeout = self._context.target.ping_timeout or keep_alive * 500_000_000
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

    def stop(self) -> None:
        """Disconnect cleanly, ending the broker's session, and settle the account."""
        phase = self.phase
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        self._disarm()
        connection, self._connection = self._connection, None
        if self.log is not None and phase is not Phase.READY:
            # Away at the end, or never subscribed: whatever it missed was not promised to arrive before the end.
            self.log.session_lost(promised=False)
        self._set_phase(Phase.CLOSED)
        if connection is None:
            return
        if phase in (Phase.READY, Phase.SUBSCRIBING):
            # Expiry 0: leave no session and no queue behind on the broker [MQTT-3.14.2.2.2].
            self._session.disconnect(0, session_expiry=0 if self._group.session_expiry else None)
            connection.send(self._session.take())
        self._account(connection)
        connection.close()

    def account_traffic(self) -> None:
        """Move the open connection's byte counts into the recorder."""
        if self._connection is not None:
            self._account(self._connection)

    def _account(self, connection: Connection) -> None:
        self._rec.bytes_received += connection.bytes_in
        self._rec.bytes_sent += connection.bytes_out
        connection.bytes_in = connection.bytes_out = 0

    def _set_phase(self, phase: Phase) -> None:
        self._context.moved(self, self.phase, phase)
        self.phase = phase


def _ping_after(keep_alive: int) -> int:
    """Nanoseconds of silence before a ping: a second early, as checks come once a second."""
    return max(keep_alive * 1_000_000_000 - 1_000_000_000, keep_alive * 500_000_000)


def _is_permanent(cause: str) -> bool:
    if cause.startswith("refused:0x"):
        return int(cause.removeprefix("refused:"), 16) in _PERMANENT
    return cause.startswith(("tls:", "certificate:"))
