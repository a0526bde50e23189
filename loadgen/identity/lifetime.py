"""When a certificate is due for another."""

from __future__ import annotations

_DAY_S = 86_400


def expires_soon(not_before: float, not_after: float, now: float) -> bool:
    """Whether less than a tenth of its life, or less than a day, is left.

    The day is cut to half the life: else a certificate for an hour would be due the moment it is made.

    Args:
        not_before: start of validity, seconds since the epoch.
        not_after: end of validity, seconds since the epoch.
        now: seconds since the epoch.
    """
    life = not_after - not_before
    return not_after - now < max(life / 10, min(_DAY_S, life / 2))
