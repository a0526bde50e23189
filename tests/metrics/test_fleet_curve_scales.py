"""A part of the fleet that is away shows in wider bins, where the narrowest cannot tell it from chance."""

from __future__ import annotations

from loadgen.metrics.fleet_curve import TENTH, Curve, baseline, lows


def curve(rates: list[tuple[int, int]]) -> Curve:
    """(tenths, messages in each) one after the other, from 0 on."""
    counts = [each for tenths, each in rates for _ in range(tenths)]
    return Curve("acknowledged", dict(enumerate(counts)), 0, lambda _at: 1.0)


def test_a_third_away_for_five_seconds_is_an_outage() -> None:
    found = curve([(100, 12), (50, 8), (50, 12)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 200 * TENTH)
    assert low is not None
    assert 4 <= low.seconds <= 5.5
    assert low.first == 100 * TENTH
    assert not low.lasting


def test_nobody_away_is_none_in_any_bin() -> None:
    found = curve([(200, 12)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 200 * TENTH)
    assert low is not None
    assert (low.first, low.seconds, low.tenths) == (None, 0, 1)


def test_a_standstill_keeps_the_narrow_bins() -> None:
    found = curve([(100, 12), (4, 0), (50, 12)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 154 * TENTH)
    assert low is not None
    assert (low.tenths, low.seconds) == (1, 0.4)


def test_a_standstill_does_not_hide_the_long_weakness_after_it() -> None:
    """A killed node with classic sessions: 1.2 s of nothing, then a sixth is refused for a minute."""
    found = curve([(100, 12), (12, 0), (600, 10), (100, 12)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 812 * TENTH)
    assert low is not None
    assert 55 <= low.seconds <= 63
    assert low.first == 100 * TENTH
    assert low.last is not None
    assert abs(low.last / TENTH - 712) <= low.tenths
    assert low.deepest == 0
    assert low.tenths > 1
    assert not low.lasting


def test_a_standstill_is_not_made_longer_by_wider_bins() -> None:
    found = curve([(100, 12), (12, 0), (600, 12)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 712 * TENTH)
    assert low is not None
    assert (low.seconds, low.tenths) == (1.2, 1)


def test_a_weakness_that_lasts_is_not_over() -> None:
    found = curve([(100, 12), (12, 0), (300, 10)])
    low = lows(found, baseline(found, 100 * TENTH), 100 * TENTH, 412 * TENTH)
    assert low is not None
    assert low.lasting
