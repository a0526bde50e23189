from __future__ import annotations

import pytest

from loadgen.identity.lifetime import expires_soon

HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("life", "left", "due"),
    [
        (365 * DAY, 37 * DAY, False),
        (365 * DAY, 36 * DAY, True),
        (5 * DAY, DAY + 1, False),
        (5 * DAY, DAY - 1, True),
        (HOUR, HOUR, False),
        (HOUR, HOUR / 2 - 1, True),
        (HOUR, -1, True),
    ],
)
def test_a_tenth_or_a_day_or_half_of_a_short_life(life: float, left: float, *, due: bool) -> None:
    assert expires_soon(1000.0, 1000.0 + life, 1000.0 + life - left) is due
