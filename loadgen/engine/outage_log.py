"""The outages of a shard's clients on their way to the coordinator and into events.jsonl."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from loadgen.metrics.outage import BACK

if TYPE_CHECKING:
    from loadgen.metrics.outage import Outage, OutageWire

FOLLOWED_UP = 10_000_000_000
"""How long (ns) the event of an outage waits for the first acknowledgement and the first delivery."""
_MOST_WRITTEN = 300
"""Events an interval: a storm's outages are written over some seconds instead of holding up the loop."""
_MOST_AT_THE_END = 5_000
_MOST_LOOKED_AT = 5_000
_MOST_TOLD = 1_000
"""Outages told in an interval, likewise."""


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

    def take(self, *, last: bool = False) -> list[OutageWire]:
        """Outages that have changed since they were told, a bounded number at a time; `last`: all of them."""
        if not self._changed:
            return []
        keys = list(self._changed if last else islice(self._changed, _MOST_TOLD))
        return [self._changed.pop(key).to_wire() for key in keys]

    def events(self, now: int, *, last: bool = False) -> list[dict[str, Any]]:
        """The events of outages of which nothing more is to come soon, a bounded number at a time.

        Args:
            now: monotonic ns.
            last: the run is over: nothing more is to come of any.
        """
        events: list[dict[str, Any]] = []
        if not self._unwritten:
            return events
        most = _MOST_AT_THE_END if last else _MOST_WRITTEN
        for key, outage in list(islice(self._unwritten.items(), None if last else _MOST_LOOKED_AT)):
            if len(events) >= most:
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
