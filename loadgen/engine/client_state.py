"""What a client remembers, and what each of its parts needs: phase, timer, traffic account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mqtt5 import QoS, Will

from loadgen.engine.phase import Phase
from loadgen.metrics.delivery import SubscriberLog
from loadgen.mqtt.config import SessionConfig
from loadgen.mqtt.session import Session
from loadgen.plan.payload import will_payload

if TYPE_CHECKING:
    import asyncio
    from collections import deque

    from loadgen.engine.backoff import Backoff
    from loadgen.engine.context import FleetContext
    from loadgen.engine.stream import Stream
    from loadgen.engine.transport import Connection
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings


class ClientState:
    """The state all parts of a client share; slots, because there are thousands of them."""

    __slots__ = (
        "_attempt",
        "_backlog",
        "_backoff",
        "_connect_due",
        "_connection",
        "_context",
        "_counts",
        "_down_since",
        "_group",
        "_leaves_at",
        "_left_at",
        "_lived",
        "_lost_at",
        "_moves",
        "_opening",
        "_ping_sent_at",
        "_place",
        "_rec",
        "_session",
        "_started_at",
        "_step_leaving",
        "_subacks",
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
        self, context: FleetContext, plan: ClientPlan, group: GroupSettings, recorder: GroupRecorder
    ) -> None:
        """Start idle."""
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
                username=plan.username,
                password=None if group.password is None else group.password.reveal().encode(),
                will=_will(context.run_id, plan),
            )
        )
        self.streams: tuple[Stream, ...] = ()
        self.log: SubscriberLog | None = SubscriberLog() if plan.filters else None
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._backlog: deque[tuple[Stream, int]] | None = None
        """(stream, intended ns) of messages that the connection did not take yet, oldest first."""
        self._backoff: Backoff | None = None
        self._place = 0
        """Place of the present node in the plan's order."""
        self._moves = 0
        """How often it chose the next node."""
        self._attempt = 0
        """Attempts since it was ready last."""
        self._connect_due = 0
        self._started_at = 0
        self._subscribe_at = 0
        self._subacks: dict[int, tuple[int, ...] | None] | None = None
        """Packet id → reasons of each SUBACK, None until it comes; only while several are waited for."""
        self._lost_at = 0
        """When the connection was lost, until it is ready again; else 0. As all times here, monotonic ns."""
        self._down_since = 0
        """When the connection was lost, until a message got through again; else 0."""
        self._lived = False
        """It was given a lifetime before."""
        self._leaves_at = 0
        """When it leaves at last, PUBACKs or not."""
        self._left_at = 0
        """When it left as planned, until it is ready again; else 0."""
        self._step_leaving = False
        """It leaves for a certificate step, or has left and is not ready again."""
        self._ping_sent_at = 0
        """When the unanswered PINGREQ was sent; 0 when there is none."""
        self._subscribed = False
        """The broker's session has our subscriptions, as far as we know."""
        self._subscribed_once = False
        self._was_ready = False
        self.last_sent = 0
        self.last_received = 0

    @property
    def node(self) -> int:
        """Number of the node that the current or last attempt goes to."""
        return self.plan.nodes[self._place]

    def _record_by_node(self) -> None:
        """Record what the next connection brings for its node, where nodes are told apart."""
        if self._context.target.by_node:
            self._rec = self._rec.at(self._context.node_names[self.node])

    @property
    def was_ready(self) -> bool:
        """Whether it was connected and subscribed at least once."""
        return self._was_ready

    @property
    def tls(self) -> tuple[str, str] | None:
        """(TLS version, cipher) of the connection, None while there is none."""
        return self._connection.cipher if self._connection is not None else None

    @property
    def keep_alive(self) -> int:
        """Effective keep-alive in seconds: the broker's wins over ours."""
        return self._session.keep_alive

    def account_traffic(self) -> None:
        """Move the open connection's byte counts into the recorder."""
        if self._connection is not None:
            self._account(self._connection)

    def _account(self, connection: Connection) -> None:
        self._rec.bytes_received += connection.bytes_in
        self._rec.bytes_sent += connection.bytes_out
        connection.bytes_in = connection.bytes_out = 0

    def _open(self) -> None:
        """Start an attempt to connect; see `Client`."""
        raise NotImplementedError

    def _set_phase(self, phase: Phase) -> None:
        self._context.moved(self, self.phase, phase)
        self.phase = phase

    # -- the one timer ---------------------------------------------------------------------------

    def _arm(self, timeout: int) -> None:
        """Give up the connection in `timeout` ns; replaces what the timer was for."""
        self._disarm()
        self._timer = self._context.loop.call_later(timeout / 1e9, self._timed_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        self._cancel_opening()
        if self._connection is not None:
            self._connection.abort("timeout")

    def _cancel_opening(self) -> None:
        """Stop waiting for TCP; called while the phase is still the connection's."""
        opening, self._opening = self._opening, None
        # Once TCP is up the connection ends itself. A task cancelled in the moment between would make uvloop
        # close the socket without telling the connection.
        if opening is not None and self.phase is Phase.TCP:
            opening.cancel()


def _will(run_id: int, plan: ClientPlan) -> Will | None:
    will = plan.will
    if will is None:
        return None
    return Will(
        will.topic,
        payload=will_payload(run_id, plan.number, will.content),
        qos=QoS.AT_LEAST_ONCE if will.qos else QoS.AT_MOST_ONCE,
        retain=will.retain,
        will_delay_interval=will.delay,
    )
