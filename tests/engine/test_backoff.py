from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.backoff import Backoff


@given(
    low=st.integers(1, 10**10), more=st.integers(0, 10**12), seed=st.integers(0, 2**80), n=st.integers(1, 40)
)
def test_waits_stay_between_their_bounds(low: int, more: int, seed: int, n: int) -> None:
    high = low + more
    waits = Backoff(low, high, seed)
    for attempt in range(1, n + 1):
        assert low <= waits.next() <= min(high, low * 2**attempt)


def test_waits_grow_and_use_the_whole_range() -> None:
    def nth(n: int) -> list[int]:
        found = []
        for seed in range(300):
            waits = Backoff(100, 6400, seed)
            found.append([waits.next() for _ in range(n)][-1])
        return found

    assert max(nth(1)) < 200
    assert min(nth(8)) < 500
    assert max(nth(8)) > 6000


def test_waits_are_repeatable_and_differ_by_seed() -> None:
    def some(seed: int) -> list[int]:
        waits = Backoff(1, 10**9, seed)
        return [waits.next() for _ in range(10)]

    assert some(4) == some(4) != some(5)
