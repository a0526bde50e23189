"""Certificate steps on one worker: client after client as its turn comes, and what became of them."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.metrics.certificate_step import StepTally

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from loadgen.engine.client import Client
    from loadgen.plan.certificate_changes import CertificateChange


class CertificateSteps:
    """See the module's docstring."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clients: Sequence[Client]) -> None:
        """Know the shard's clients."""
        self._loop = loop
        self._clients = clients
        self._by_number: dict[int, Client] = {}
        self._timers: dict[int, asyncio.Handle] = {}
        self.tallies: dict[int, StepTally] = {}
        """By number of the step."""

    def begin(
        self,
        step: int,
        changes: Sequence[CertificateChange],
        *,
        reconnect: bool,
        refusal_expected: bool = False,
    ) -> None:
        """Carry out a step's changes, each when it is due."""
        if not self._by_number:
            self._by_number = {client.plan.number: client for client in self._clients}
        tally = self.tallies[step] = StepTally(refusal_expected, len(changes))
        queue = sorted(changes, key=lambda change: change.due, reverse=True)
        self._next(step, tally, queue, reconnect=reconnect)

    def _next(self, step: int, tally: StepTally, queue: list[CertificateChange], *, reconnect: bool) -> None:
        """Take the clients that are due, one a turn of the loop, so that many leave room for others."""
        self._timers.pop(step, None)
        if not queue:
            return
        wait = queue[-1].due - monotonic_ns()
        if wait <= 0:
            change = queue.pop()
            self._by_number[change.client].change_certificate(tally, change, reconnect=reconnect)

        def again() -> None:
            self._next(step, tally, queue, reconnect=reconnect)

        if queue:
            self._timers[step] = (
                self._loop.call_soon(again)
                if wait <= 0
                else self._loop.call_later(max(wait / 1e9, 0.001), again)
            )

    def returning(self) -> dict[int, int]:
        """Step → clients whose turn has not come or that have not come back."""
        return {step: tally.to_come for step, tally in self.tallies.items()}

    def stop(self) -> None:
        """Take no more turns."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
