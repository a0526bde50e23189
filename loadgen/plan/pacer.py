"""When each client of a group publishes: pure functions from (seed, client, n) to load time.

A pacer serves the clients of one stream that live in one shard. It is open-loop: due times never depend on
what the broker does (wrk2's constant throughput, "intended time"). Splitting a group over more shards
changes nothing about any client's own times.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_MASK = (1 << 64) - 1
_NANOSECONDS = 1_000_000_000


class Pacer(Protocol):
    """The next due publish of a stream's clients in one shard."""

    due: int
    """Load time of the next event, ns."""

    def pop(self) -> int:
        """Take the next event: the slot (place in `indices`) of the client that publishes; moves `due` on."""
        ...


class ConstantPacer:
    """Evenly spaced, each client and the group as a whole.

    Client `i` of `clients` publishes at (i/clients + n) / rate, n = 0, 1, 2 …; event k of the group falls
    due at k / (rate · clients).
    """

    __slots__ = ("_clients", "_indices", "_round", "_slot", "_spacing", "due")

    def __init__(self, indices: Sequence[int], clients: int, rate: float) -> None:
        """Pace the clients `indices` (sorted) out of `clients`, each at `rate` per second."""
        self._indices = indices
        self._clients = clients
        self._spacing = _NANOSECONDS / (rate * clients)
        self._slot = 0
        self._round = 0
        self.due = int(indices[0] * self._spacing)

    def pop(self) -> int:
        """See `Pacer.pop`."""
        slot = self._slot
        following = slot + 1
        if following == len(self._indices):
            following = 0
            self._round += self._clients
        self._slot = following
        self.due = int((self._round + self._indices[following]) * self._spacing)
        return slot


class PoissonPacer:
    """Independent Poisson processes, one a client, of `rate` per second each.

    Gaps are -ln(1 - u) / rate with u from a counter-based generator (splitmix64 of seed, client and n),
    so that a client's times do not depend on the shard it lives in, and no state is kept but its n.
    """

    __slots__ = ("_heap", "_period", "_streams", "due")

    def __init__(self, indices: Sequence[int], rate: float, seed: int) -> None:
        """Pace the clients `indices`, each at `rate` per second."""
        self._period = _NANOSECONDS / rate
        self._streams = [splitmix64(splitmix64(seed & _MASK) ^ index) for index in indices]
        self._heap = [(self._gap(slot, 0), slot, 0) for slot in range(len(indices))]
        heapq.heapify(self._heap)
        self.due = self._heap[0][0]

    def _gap(self, slot: int, count: int) -> int:
        uniform = (splitmix64((self._streams[slot] + count) & _MASK) >> 11) * 2.0**-53
        return int(-math.log1p(-uniform) * self._period)

    def pop(self) -> int:
        """See `Pacer.pop`."""
        due, slot, count = self._heap[0]
        heapq.heapreplace(self._heap, (due + self._gap(slot, count + 1), slot, count + 1))
        self.due = self._heap[0][0]
        return slot


def splitmix64(value: int) -> int:
    """Steele, Lea and Flood's mixing function (OOPSLA 2014): 64 well-mixed bits from 64 bits."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def events_until(load_time: int, clients: int, rate: float) -> int:
    """How many events a constant group of `clients` at `rate` each has before `load_time` ns."""
    spacing = _NANOSECONDS / (rate * clients)
    count = math.ceil(load_time / spacing)
    # int() in the pacer floors, so correct by looking at the neighbours instead of trusting one division.
    while count > 0 and int((count - 1) * spacing) >= load_time:
        count -= 1
    while int(count * spacing) < load_time:
        count += 1
    return count
