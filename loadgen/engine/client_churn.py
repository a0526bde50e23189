"""Clients that come and go: each leaves in good order after its lifetime, and is back after a pause."""

from __future__ import annotations

from time import monotonic_ns

from loadgen.engine.client_receiving import Receiving
from loadgen.engine.phase import Phase

LAST_ACKS = 5_000_000_000
"""How long a leaving client waits for the PUBACKs of what it has sent, ns."""
LOOK_AGAIN = 0.02
"""How often it looks whether they have come, s."""


class Churning(Receiving):
    """What a client with a lifetime does besides the rest."""

    __slots__ = ()

    def _ready(self) -> None:
        super()._ready()
        self.begin_life()

    def begin_life(self) -> None:
        """Leave when the lifetime is over, if there is one and the time to come and go has begun.

        First lifetimes are cut short by the client's place in its group, so that the group leaves and returns
        evenly spread, at clients / (lifetime + pause) a second.
        """
        lifetime = self._group.lifetime
        if lifetime is None or not self._context.churning or self.phase is not Phase.READY:
            return
        if not self._lived:
            self._lived = True
            lifetime = lifetime * (self.plan.index + 1) // self._group.clients
        self._disarm()
        self._timer = self._context.loop.call_later(lifetime / 1e9, self._leave)

    def _leave(self) -> None:
        self._timer = None
        if not self._context.churning or self._context.stopping or self.phase is not Phase.READY:
            return
        self._set_phase(Phase.LEAVING)
        self._leaves_at = monotonic_ns() + LAST_ACKS
        self._depart()

    def _depart(self) -> None:
        """Disconnect, as soon as nothing that was sent waits for its PUBACK."""
        self._timer = None
        now = monotonic_ns()
        connection = self._connection
        if connection is None or self.phase is not Phase.LEAVING:
            return
        if self._session.unacknowledged and now < self._leaves_at:
            self._timer = self._context.loop.call_later(LOOK_AGAIN, self._depart)
            return
        self._connection = None
        self._session.disconnect()  # the session lives on for as long as the CONNECT asked
        connection.send(self._session.take())
        self._account(connection)
        self._session.connection_lost()
        self._ping_sent_at = 0
        self._left_at = now
        self._rec.planned_disconnects += 1
        self._context.note("left", self)
        self._departed(now)
        if not connection.finish(self._gone):
            self._gone()

    def _departed(self, now: int) -> None:  # noqa: ARG002 - for those who leave for another reason
        """It has said goodbye: be away for a while."""
        self._set_phase(Phase.AWAY)
        self._timer = self._context.loop.call_later(self._group.pause / 1e9, self._come_back)

    def _gone(self) -> None:
        """The connection that was left is gone at the broker, too."""

    def _come_back(self) -> None:
        self._timer = None
        if not self._context.stopping:
            self._connect_due = self._left_at + self._group.pause
            self._open()
