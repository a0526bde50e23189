"""Whether a drain may end though not all that was sent has arrived: because nothing is owed any more.

Messages at QoS 0 that a fault cost, and what was sent while a subscriber had no session, never arrive.
Counters cannot tell them from what is on its way, the ledger can. It costs the workers something to hand it
over, so they are asked only when all is quiet, and anew only when something has arrived since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.backend.messages import Account

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadgen.backend.messages import Accounted
    from loadgen.backend.worker_news import WorkerNews
    from loadgen.metrics.ledger_result import LedgerResult

QUIET = 10.0
"""How long (s) nothing has arrived before the ledger is asked for: what comes later is seen if it is owed."""


class Settling:
    """Looks at one drain stage; `settled` becomes true when the ledger owes nothing."""

    def __init__(
        self,
        stage: str,
        news: WorkerNews,
        ask: Callable[[Account], None],
        classify: Callable[[list[Accounted]], LedgerResult],
    ) -> None:
        """Begin to look.

        Args:
            stage: the drain stage.
            news: what the workers said.
            ask: tells every worker to hand over its part of the ledger.
            classify: puts the parts together, as if the drain had ended.
        """
        self.settled = False
        self._stage = stage
        self._news = news
        self._ask = ask
        self._classify = classify
        self._arrived = -1
        self._since = 0.0
        self._number = 0
        self._asked_at = -1
        """Deliveries when the workers were asked."""
        self._parts: list[Accounted] = []

    def look(self, now: float) -> None:
        """Ask the workers if that is due.

        Args:
            now: monotonic seconds.
        """
        arrived = self._news.unique
        if arrived != self._arrived or not self._news.quiet(self._stage) or self._news.away:
            self._arrived, self._since = arrived, now
            return
        if now - self._since >= QUIET and self._asked_at != arrived:
            self._asked_at = arrived
            self._number += 1
            self._parts = []
            self._ask(Account(self._number))

    def take(self, part: Accounted) -> None:
        """Take a worker's answer; the last one decides."""
        if part.number != self._number:
            return
        self._parts.append(part)
        if len(self._parts) < self._news.workers:
            return
        ledger = self._classify(self._parts)
        self._parts = []
        self.settled = not ledger.lost and not ledger.unsettled
