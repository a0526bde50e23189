"""The outages of a shard's clients on their way to the coordinator and into events.jsonl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadgen.metrics.outage import BACK

if TYPE_CHECKING:
    from loadgen.metrics.outage import Outage

FOLLOWED_UP = 10_000_000_000
"""How long (ns) the event of an outage waits for the first acknowledgement and the first delivery."""
_MOST_WRITTEN = 1_000
"""Events an interval: a storm's outages are written over some seconds instead of filling one."""


class OutageLog:
    """Keeps which outages have changed since the last interval; none of them is ever left out."""

    def __init__(self) -> None:
        """Start with none."""
        self.away = 0
        """Clients that were ready and are away against our will."""
        self._changed: dict[tuple[int, int], Outage] = {}
        self._unwritten: dict[tuple[int, int], Outage] = {}
        """Outages that are over and have no event yet, in the order of their ends."""

    def tell(self, outage: Outage) -> None:
        """An outage has begun, or more is known of it."""
        self._changed[outage.client, outage.noticed] = outage

    def over(self, outage: Outage) -> None:
        """An outage has ended, in one way or another."""
        self.tell(outage)
        self._unwritten[outage.client, outage.noticed] = outage

    def take(self) -> list[Outage]:
        """Copies of the outages that have changed since the last time."""
        if not self._changed:
            return []
        changed, self._changed = self._changed, {}
        return [each.copy() for each in changed.values()]

    def events(self, now: int, *, last: bool = False) -> list[dict[str, Any]]:
        """The events of outages of which nothing more is to come soon, a bounded number at a time.

        Args:
            now: monotonic ns.
            last: the run is over: nothing more is to come of any.
        """
        events: list[dict[str, Any]] = []
        if not self._unwritten:
            return events
        for key, outage in tuple(self._unwritten.items()):
            if len(events) >= _MOST_WRITTEN:
                break
            known = outage.complete or outage.ended != BACK or now - outage.ready > FOLLOWED_UP
            if known or last:
                events.append(outage.to_event())
                del self._unwritten[key]
        return events

    @property
    def unwritten(self) -> int:
        """Outages that are over and have no event."""
        return len(self._unwritten)
