"""How long a client waits before it tries again."""

from __future__ import annotations

from loadgen.plan.pacer import splitmix64


class Backoff:
    """Exponential, never above max: with jitter the n-th wait is uniform in [min, min · 2^n], by a seed.

    Without jitter it is exactly min · 2^(n-1), so that clients cut off together come back together.

    After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015); seeded, so that a run can be
    repeated.
    """

    __slots__ = ("_high", "_jitter", "_max", "_min", "_state")

    def __init__(self, low: int, high: int, seed: int, *, jitter: bool = True) -> None:
        """Wait between `low` and `high` ns; both 0: not at all."""
        self._jitter = jitter
        self._min = low
        self._max = high
        self._high = low
        self._state = splitmix64(seed & ((1 << 64) - 1))

    def next(self) -> int:
        """The next wait in ns."""
        if not self._jitter:
            wait, self._high = self._high, min(self._high * 2, self._max)
            return wait
        self._state = splitmix64(self._state)
        self._high = min(self._high * 2, self._max)
        return self._min + self._state % max(self._high - self._min, 1)
