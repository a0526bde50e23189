"""The receiving half of a client: what the broker says, measured and put into the ledger's logs."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from time import monotonic_ns
from typing import TYPE_CHECKING

from mqtt5 import PublishPacket

from loadgen.engine.client_sending import Sending
from loadgen.engine.phase import Phase
from loadgen.metrics.delivery import DUPLICATE, REORDERED
from loadgen.mqtt.events import (
    Acknowledged,
    BrokenRuleError,
    Connected,
    Disconnected,
    Event,
    Pong,
    Redelivered,
    Refused,
    Subscribed,
)
from loadgen.mqtt.options import Subscription
from loadgen.mqtt.state import State
from loadgen.plan.payload import HEADER, HEADER_SIZE, MAGIC, MESSAGE, WILL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.engine.stream import InFlight

_LATE = 30_000_000_000
"""How late (ns) a redelivery is to be named: RabbitMQ 4.3 redelivers from quorum queues after 60 s."""
_NEVER_EXPIRES = 0xFFFFFFFF
"""A session expiry interval that means never [MQTT-3.1.2.11.2], seconds."""


class Receiving(Sending):
    """What a client does with the broker's packets."""

    __slots__ = ()

    def received(self, data: bytes) -> None:
        """Plain text arrived (called by the connection)."""
        now = self.last_received = monotonic_ns()
        session = self._session
        try:
            events = session.receive(data)
        except BrokenRuleError as error:
            self._on_broken_rule(error, now)
            return
        self._on_events(events, now)
        outgoing = session.take()
        if outgoing and self._connection is not None:
            self.last_sent = now
            self._connection.send(outgoing)
        if self._backlog and self.phase is Phase.READY:
            self._send_backlog()

    def _on_broken_rule(self, error: BrokenRuleError, now: int) -> None:
        self._on_events(error.events, now)
        self._context.note("protocol_error", self, error=str(error))
        self._flush()  # the DISCONNECT that says why
        if self._connection is not None:
            self._connection.abort(f"protocol-error:0x{error.reason:02X}")

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
        if packet.retain and self._was_retained(payload):
            rec.retained_received += 1
            return
        if log is None or len(payload) < HEADER_SIZE or not payload.startswith(MAGIC):
            self._on_foreign()
            return
        _, flags, run_id, publisher, sequence, intended = HEADER.unpack_from(payload)
        if flags or run_id != self._context.run_id:
            if flags == WILL:
                rec.wills_received += 1
            else:
                self._on_foreign()
            return
        place = log.receive(publisher, sequence)
        if place == DUPLICATE:
            rec.duplicates += 1
        else:
            self._counts.unique += 1
            if place == REORDERED:
                rec.reordered += 1
        if self._awaits_delivery:
            self._first_delivery(now)
        if (book := self._context.books.recorder(intended, rec)) is not None:
            book.delivery_latency.append(now - intended)

    def _on_redelivered(self, packet: PublishPacket, now: int) -> None:
        """Take a message that has the DUP flag, which is no proof that it came before."""
        payload = packet.payload
        log = self.log
        if log is not None and len(payload) >= HEADER_SIZE and payload.startswith(MAGIC):
            _, flags, run_id, publisher, sequence, intended = HEADER.unpack_from(payload)
            if flags == MESSAGE and run_id == self._context.run_id and not log.has(publisher, sequence):
                rec = self._rec
                rec.dup_flagged += 1
                rec.late_redeliveries += now - intended >= _LATE
                if (book := self._context.books.recorder(intended, rec)) is not None:
                    book.redelivery_latency.append(now - intended)
        self._on_message(packet, now)

    def _was_retained(self, payload: bytes) -> bool:
        """Whether a message with the retain flag is one that the broker had kept, and no delivery to expect.

        That is what the flag says, unless a filter asked for retain-as-published: then messages of this run
        may carry it as well, and only one that is here already was surely kept.
        """
        if not any(each.retain_as_published for each in self.plan.filters):
            return True
        if len(payload) < HEADER_SIZE or not payload.startswith(MAGIC):
            return True
        _, flags, run_id, publisher, sequence, _ = HEADER.unpack_from(payload)
        if run_id != self._context.run_id or self.log is None:
            return True
        return flags == MESSAGE and self.log.has(publisher, sequence)

    def _on_foreign(self) -> None:
        self._rec.foreign += 1
        if self.log is not None:
            # The ledger calls these unexpected.
            self.log.foreign += 1

    def _on_acknowledged(self, event: Acknowledged, now: int) -> None:
        token: InFlight = event.token  # type: ignore[assignment]
        stream, sequence, intended, sent = token
        rec = self._rec
        self._counts.inflight -= 1
        if event.reason == 0:
            stream.log.ack(sequence)
            rec.acknowledged += 1
            if self._awaits_ack:
                self._first_ack(now)
        else:
            # 0x10 (nobody subscribed) and 0x80 up: the broker promised nothing, so the ledger hears of no
            # acknowledgement.
            rec.count_code("puback_codes", f"0x{event.reason:02X}")
            rec.publish_errors += 1
            if event.reason >= 0x80:
                return
        if (book := self._context.books.recorder(intended, rec)) is not None:
            book.publish_latency.append(now - intended)
            book.publish_service_time.append(now - sent)

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
        elif isinstance(event, Redelivered):
            self._on_redelivered(event.message, now)
        elif isinstance(event, Pong):
            self._ping_sent_at = 0

    def _on_connected(self, event: Connected, now: int) -> None:
        self._disarm()
        self._record_connect(now)
        subscribes = self._admitted(
            now, session_present=event.session_present, resent=event.resent, abandoned=event.abandoned
        )
        if self._session.state is not State.CONNECTED:
            return  # accepted and closed in one breath: the loss is the next event
        if subscribes:
            self._set_phase(Phase.SUBSCRIBING)
            self._subscribe_at = now
            self._subscribe()
            self._arm(self._group.connack_timeout)
        else:
            self._ready()

    def _subscribe(self) -> None:
        """Queue a SUBSCRIBE for each subscription identifier, as a packet has only one [§3.8.2.1.2]."""
        subacks: dict[int, tuple[int, ...] | None] = {}
        for identifier, filters in groupby(self.plan.filters, key=attrgetter("identifier")):
            packet_id = self._session.subscribe([Subscription(*each[:5]) for each in filters], identifier)
            subacks[packet_id] = None
        self._subacks = subacks if len(subacks) > 1 else None

    def _admitted(self, now: int, *, session_present: bool, resent: int, abandoned: Sequence[object]) -> bool:
        """Account for a session that the broker opened or resumed; whether it lacks our subscriptions."""
        rec = self._rec
        self._outage_admitted(now, session_present=session_present)
        rec.republished += resent
        rec.abandoned += len(abandoned)
        self._record_unanswered(abandoned, now)
        self._counts.inflight -= len(abandoned)
        self._context.note(
            "connected",
            self,
            session_present=session_present,
            attempts=self._attempt,
            seconds=(now - (self._lost_at or self._connect_due)) / 1e9,
        )
        subscribes = bool(self.plan.filters) and not (session_present and self._subscribed)
        if subscribes:
            if self._subscribed_once and not session_present and self.log is not None:
                promised = self._session_was_promised(now)
                self.log.session_lost(promised=promised)
                # Who left as planned and asked for no session to be kept has lost none.
                rec.sessions_lost += promised or not self._left_at
            # A session that is there may be from before this run, or have been cut off before it had our
            # subscriptions: only a SUBACK in this session says that they stand.
            self._subscribed = False
        return subscribes

    def _record_connect(self, now: int) -> None:
        rec = self._rec
        rec.connects += 1
        rec.count_code("connack_codes", "0x00")
        rec.reconnects += bool(self._lost_at)
        connection = self._connection
        if connection is not None:
            self._waited_for_connack(connection, now)
        if not self._context.recording:
            return
        if connection is not None:  # a library that connects by itself shows no phases
            rec.tcp_connect.append(connection.tcp_at - self._started_at)
            rec.tls_handshake.append(connection.secured_at - connection.tcp_at)
            rec.mqtt_connect.append(now - connection.secured_at)
        if self._lost_at:
            rec.reconnect_time.append(now - self._lost_at)
        elif self._step_leaving and self._left_at:
            rec.planned_reconnect_time.append(now - self._left_at)
        else:
            rec.connect_time.append(now - self._connect_due)

    def _session_was_promised(self, now: int) -> bool:
        """Whether the broker had to keep the session until now: asked for, and not away for too long.

        One that was to end with the connection, or had expired, never promised what was missed meanwhile.
        """
        expiry = self._group.session_expiry
        if not expiry or self._group.clean_start or (self._lost_at and not self._group.resume):
            return False
        return expiry == _NEVER_EXPIRES or now - (self._lost_at or self._left_at) < expiry * 1_000_000_000

    def _on_subscribed(self, event: Subscribed, now: int) -> None:
        reasons = event.reasons
        if self._subacks is not None:
            self._subacks[event.packet_id] = reasons
            if None in self._subacks.values():
                return
            # In the order of the filters, as they were asked for in it.
            reasons = tuple(code for codes in self._subacks.values() for code in codes or ())
            self._subacks = None
        self._disarm()
        if self._granted(reasons, now) and self._session.state is State.CONNECTED:
            self._ready()

    def _granted(self, reasons: Sequence[int], now: int) -> bool:
        """Account for a SUBACK; False when the broker refused a subscription, which ends the connection."""
        rec = self._rec
        if self._context.recording:
            rec.subscribe_time.append(now - self._subscribe_at)
        refused, lowered = "", False
        for reason, wanted in zip(reasons, self.plan.filters, strict=True):
            rec.count_code("suback_codes", f"0x{reason:02X}")
            if reason >= 0x80:
                refused = refused or f"refused:0x{reason:02X}"
            lowered = lowered or reason < wanted.qos
        if refused or lowered:
            rec.subscribe_failures += 1
            self._context.note("subscribe_refused", self, reasons=[f"0x{each:02X}" for each in reasons])
            if refused and self._subscribed_once:
                # It was granted once, so this is no matter of settings: a cluster that just lost a node
                # answers 0x80 for a while.
                self._end_connection(refused)
            else:
                self._give_up()
            return False
        self._outage_subscribed(now)
        self._subscribed = True
        if not self._subscribed_once:
            self._subscribed_once = True
            if self._context.publishing and self.log is not None:
                self.log.late_start()
        return True

    def _end_connection(self, cause: str) -> None:
        """End it as lost, and come back by the reconnect policy."""
        if self._connection is not None:
            self._connection.abort(cause)

    def _on_refused(self, event: Refused) -> None:
        code = f"0x{event.reason:02X}"
        self._rec.count_code("connack_codes", code)
        if self._connection is not None:
            self._connection.abort(f"refused:{code}")
