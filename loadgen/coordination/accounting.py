"""What became of every message: the logs of all workers put together and classified."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from loadgen.metrics.delivery import Ledger, PublisherLog, SubscriberLog, classify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.backend.messages import Accounted, Final
    from loadgen.faults.results import Spans
    from loadgen.metrics.ledger_result import LedgerResult
    from loadgen.plan.plan import Plan


class Accounting:
    """Classifies what workers know of each message, at the end and while a drain goes on."""

    def __init__(self, plan: Plan) -> None:
        """Nothing is settled yet."""
        self._plan = plan
        self.origin = 0
        """The run's time zero, monotonic ns."""
        self.settled = False
        """Whether what has not arrived by now is not on its way any more."""

    @property
    def is_kept(self) -> bool:
        """Whether the plan has messages to account for."""
        return bool(self._plan.publishers) or any(client.filters for client in self._plan.clients)

    def put_together(self, parts: Iterable[Accounted | Final]) -> Ledger:
        """Merge what each worker knows."""
        ledger = Ledger()
        for part in parts:
            ledger = ledger.merge(
                Ledger(
                    {number: PublisherLog.from_wire(wire) for number, wire in part.publishers.items()},
                    {number: SubscriberLog.from_wire(wire) for number, wire in part.subscribers.items()},
                )
            )
        return ledger

    def classify(self, ledger: Ledger, window: Spans | None = None) -> LedgerResult:
        """Give the class of every message, or of those that were sent in a window."""
        return self._classify(ledger, window, settled=self.settled)

    def as_if_settled(self, parts: Iterable[Accounted]) -> LedgerResult:
        """Give the classes that there would be if nothing more arrived."""
        return self._classify(self.put_together(parts), None, settled=True)

    def _classify(self, ledger: Ledger, window: Spans | None, *, settled: bool) -> LedgerResult:
        return classify(
            ledger.publishers,
            ledger.subscribers,
            self._plan.pairs(),
            settled=settled,
            expiring=self._plan.expiring((monotonic_ns() - self.origin) / 1e9),
            window=window,
        )
