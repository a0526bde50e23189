"""Clients whose certificate changes while they run: each leaves in good order and comes back with another."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic_ns, time
from typing import TYPE_CHECKING

from loadgen.engine.client_churn import LAST_ACKS, Churning
from loadgen.engine.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.engine.context import FleetContext
    from loadgen.identity.identity import Identity
    from loadgen.metrics.certificate_step import StepTally
    from loadgen.metrics.recorder import GroupRecorder
    from loadgen.plan.certificate_changes import CertificateChange
    from loadgen.plan.payload import PayloadFactory
    from loadgen.plan.plan import ClientPlan
    from loadgen.plan.settings import GroupSettings


_CONNECTED = (Phase.SUBSCRIBING, Phase.READY, Phase.LEAVING)


class Renewing(Churning):
    """What a client does in a certificate step besides the rest.

    Unlike one that goes away for a while, it keeps what falls due meanwhile, as a device would.
    """

    __slots__ = ("_shown", "_step", "_step_awaited", "_step_refused", "_step_resumed")

    def __init__(
        self,
        context: FleetContext,
        plan: ClientPlan,
        group: GroupSettings,
        recorder: GroupRecorder,
        factories: dict[int, PayloadFactory],
    ) -> None:
        """Start idle, with no step."""
        super().__init__(context, plan, group, recorder, factories)
        self._shown: Identity | None = None
        """The certificate of the last connection."""
        self._step: StepTally | None = None
        """The certificate step that concerns it, until it is back."""
        self._step_awaited = False
        """The step waits for it."""
        self._step_refused = False
        """An attempt of it has failed in the step."""
        self._step_resumed = False
        """The broker had its session when it came back last."""

    @property
    def away(self) -> bool:
        """Whether it was ready once and is not there, against our will: one that is to be refused is not."""
        return super().away and not (self._step is not None and self._step.refusal_expected)

    def change_certificate(self, step: StepTally, change: CertificateChange, *, reconnect: bool) -> None:
        """Have another certificate, or the same, from now on; with `reconnect` come back with it.

        With neither, the step only watches what becomes of a certificate that expires now.
        """
        if change.identity is None and not reconnect:
            self._watch(step)
            return
        if self._step is not None and self._step_awaited and not self._step_refused:
            self._step.awaited -= 1  # the new step waits for it now
        self._end_step()
        if change.identity is not None:
            self.plan = replace(self.plan, identity=change.identity)
        if change.user_properties is not None:
            self.plan = replace(self.plan, user_properties=change.user_properties)
            config = replace(self._session.config, user_properties=change.user_properties)
            self._session.config = config
        step.clients += 1
        phase = self.phase
        away = phase in (Phase.LEAVING, Phase.AWAY) and not self._step_leaving
        if away or phase in (Phase.IDLE, Phase.FAILED, Phase.CLOSED):
            # Not there, as planned or for good: if it comes, then with what it has now.
            step.to_come -= 1
            return
        step.connected += phase is not Phase.WAITING
        self._step = step
        self._step_refused = False
        self._step_awaited = reconnect
        step.awaited += reconnect
        if not reconnect:
            step.to_come -= 1
        elif phase is Phase.READY:
            self._leave_for_step()
        elif phase not in (Phase.LEAVING, Phase.AWAY):
            self._come_at_once()

    def _come_at_once(self) -> None:
        """It was not there for a reason that may be gone with its old certificate."""
        self._step_leaving = False
        self._connect_due = monotonic_ns()
        self._backoff = None
        if self.phase is Phase.WAITING:
            self._disarm()
            self._open()

    def _watch(self, step: StepTally) -> None:
        step.to_come -= 1
        if self.plan.identity.not_after > time() + 1:
            return  # it has got another one meanwhile
        step.clients += 1
        step.connected += self.phase in _CONNECTED
        if self._step is None:
            self._step = step
            self._step_refused = False

    def _leave_for_step(self) -> None:
        self._disarm()  # the end of its lifetime, if it has one
        self._step_leaving = True
        self._set_phase(Phase.LEAVING)
        self._leaves_at = monotonic_ns() + LAST_ACKS
        self._depart()

    def _departed(self, now: int) -> None:
        if not self._step_leaving:
            super()._departed(now)
            return
        self._set_phase(Phase.AWAY)

    def _gone(self) -> None:
        # Only now: a CONNECT that overtakes our DISCONNECT would be a takeover, and publish the will.
        if self._step_leaving and self.phase is Phase.AWAY and not self._context.stopping:
            self._connect_due = monotonic_ns()
            self._open()

    def _admitted(self, now: int, *, session_present: bool, resent: int, abandoned: Sequence[object]) -> bool:
        if self._step is not None and self._step_leaving and self._left_at and not self._lost_at:
            self._step.times.append(now - self._left_at)
        self._step_resumed = session_present
        return super()._admitted(now, session_present=session_present, resent=resent, abandoned=abandoned)

    def _ready(self) -> None:
        step = self._step
        self._step_leaving = False
        super()._ready()
        if step is None or self._step is not step or self.phase is not Phase.READY:
            return
        if self._step_awaited and self._shown is not self.plan.identity:
            # It was connecting when its turn came, and showed the old one.
            self._leave_for_step()
            return
        step.reconnected += 1
        step.resumed += self._step_resumed
        step.last_back = monotonic_ns()
        self._end_step()

    def _failed_in_step(self, cause: str, *, connected: bool) -> None:
        """A connection ended, or could not be made, while a step has not let go of the client."""
        step = self._step
        if step is None:
            return
        if connected:
            step.lost += 1
            return
        if self._step_awaited and self.phase is not Phase.TCP and self._shown is not self.plan.identity:
            return  # that was the old certificate
        step.count_failure(cause)
        if not self._step_refused:
            self._step_refused = True
            step.refused += 1

    def _give_up(self) -> None:
        super()._give_up()
        self._end_step()

    def _end_step(self) -> None:
        step, self._step = self._step, None
        awaited, self._step_awaited = self._step_awaited, False
        if step is not None and awaited:
            step.to_come -= 1
