"""When a certificate is valid, and when it is due for another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

DAY_S = 86_400
BACKDATED_S = 300
"""Certificates start this many seconds before now: clocks of other machines may be behind ours."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: seconds since the epoch, or seconds from the time of issue (negative: before it)."""

    seconds: float
    relative: bool = True

    def at(self, now: float) -> float:
        """Seconds since the epoch."""
        return now + self.seconds if self.relative else self.seconds


@dataclass(frozen=True, slots=True)
class Validity:
    """The validity that was asked for."""

    not_before: Moment = Moment(-BACKDATED_S)
    not_after: Moment = Moment(365 * DAY_S)

    @classmethod
    @lru_cache(maxsize=64)  # thousands of requests ask for the same
    def of(
        cls, valid_for_s: float, not_before: Moment | None = None, not_after: Moment | None = None
    ) -> Validity:
        """From the settings of a scenario: `valid_for` counts from now, or from `not_before` if given."""
        start = not_before or Moment(-BACKDATED_S)
        if not_after is not None and not_after.relative and not_before is None:
            # One that is to be expired was valid for a day.
            start = start if not_after.seconds > start.seconds else Moment(not_after.seconds - DAY_S)
        if not_after is not None:
            return cls(start, not_after)
        if not_before is not None:
            return cls(start, Moment(not_before.seconds + valid_for_s, not_before.relative))
        return cls(start, Moment(valid_for_s))

    def as_made(self, not_before: float, not_after: float, latest: float) -> bool:
        """Whether a certificate with these dates was made for this validity.

        Args:
            not_before: the certificate's start, seconds since the epoch.
            not_after: its end.
            latest: the end of the CA, which no certificate outlives.
        """
        # The time of issue, which certificates do not tell, follows from a relative date.
        issued = not_before - self.not_before.seconds if self.not_before.relative else not_before
        if not self.not_before.relative and int(not_before) != int(self.not_before.seconds):
            return False
        if self.not_after.relative and not self.not_before.relative:
            return True  # any time of issue explains the end
        return abs(min(self.not_after.at(issued), latest) - not_after) <= 1

    def due(self, not_before: float, not_after: float, now: float) -> bool:
        """Whether another certificate is to be issued for this validity.

        One that was to be expired is due while it isn't, one that was to be valid later is due once it is
        valid, and any other when it expires soon and a new one would last longer.
        """
        end = self.not_after.at(now)
        if end <= now:
            return not_after > now
        if self.not_before.at(now) > now:
            return not_before <= now
        return end > not_after + 1 and expires_soon(not_before, not_after, now)


def expires_soon(not_before: float, not_after: float, now: float) -> bool:
    """Whether less than a tenth of its life, or less than a day, is left.

    The day is cut to half the life: else a certificate for an hour would be due the moment it is made.

    Args:
        not_before: start of validity, seconds since the epoch.
        not_after: end of validity, seconds since the epoch.
        now: seconds since the epoch.
    """
    life = not_after - not_before
    return not_after - now < max(life / 10, min(DAY_S, life / 2))
