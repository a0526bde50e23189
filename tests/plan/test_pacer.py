"""Pacers: exact spacing, honest randomness, and the same times however the clients are split over workers."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.pacer import ConstantPacer, Pacer, PoissonPacer, events_until, splitmix64

SECOND = 1_000_000_000


def events(pacer: Pacer, indices: list[int], until: int) -> list[tuple[int, int]]:
    """Every (due, client index) before a load time."""
    found = []
    while pacer.due < until:
        due = pacer.due
        found.append((due, indices[pacer.pop()]))
    return found


def test_a_constant_group_is_evenly_spaced_to_the_nanosecond() -> None:
    indices = list(range(8))
    found = events(ConstantPacer(indices, 8, 0.5), indices, 100 * SECOND)
    assert [due for due, _ in found] == [k * SECOND // 4 for k in range(400)]
    assert [index for _, index in found] == [k % 8 for k in range(400)]


def test_rounding_does_not_add_up_over_a_long_run() -> None:
    # 3 clients at 7/s: a spacing of 47,619,047.6 ns that no integer step would keep.
    pacer = ConstantPacer([0, 1, 2], 3, 7.0)
    for _ in range(21 * 1000):
        pacer.pop()
    assert pacer.due == pytest.approx(1000 * SECOND, abs=2)


@given(
    clients=st.integers(1, 40),
    rate=st.floats(0.01, 500),
    workers=st.integers(1, 7),
    poisson=st.booleans(),
    seed=st.integers(0, 2**70),
)
def test_sharding_changes_no_clients_times(
    clients: int,
    rate: float,
    workers: int,
    poisson: bool,  # noqa: FBT001 - hypothesis gives it by name
    seed: int,
) -> None:
    until = int(60 / (rate * clients) * SECOND)

    def run(indices: list[int]) -> list[tuple[int, int]]:
        pacer: Pacer = PoissonPacer(indices, rate, seed) if poisson else ConstantPacer(indices, clients, rate)
        return events(pacer, indices, until)

    whole = run(list(range(clients)))
    parts = [list(range(clients))[worker::workers] for worker in range(workers)]
    split = [event for part in parts if part for event in run(part)]
    assert sorted(split) == sorted(whole)
    assert whole == sorted(whole, key=lambda event: event[0]), "a pacer gives its events in time order"


@given(clients=st.integers(1, 50), rate=st.floats(0.001, 1000), until=st.integers(0, 100_000_000_000))
def test_events_until_counts_what_the_pacer_gives(clients: int, rate: float, until: int) -> None:
    limit = int(until * min(1.0, 2000 / (1 + until / SECOND * rate * clients)))
    indices = list(range(clients))
    assert events_until(limit, clients, rate) == len(
        events(ConstantPacer(indices, clients, rate), indices, limit)
    )


def test_poisson_gaps_are_exponential_with_the_right_mean() -> None:
    found = events(PoissonPacer([5], 10.0, seed=7), [5], 2000 * SECOND)
    gaps = [(after - before) / SECOND for (before, _), (after, _) in pairwise(found)]
    # 20,000 gaps: the mean's own standard error is 0.7 %, so 4 of them is a fair bound for any seed.
    assert statistics.fmean(gaps) == pytest.approx(0.1, rel=0.028)
    assert statistics.pstdev(gaps) == pytest.approx(0.1, rel=0.05)
    assert sum(gap > 0.1 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.014)
    product = [first * second for first, second in pairwise(gaps)]
    assert statistics.fmean(product) == pytest.approx(0.01, rel=0.06), "neighbouring gaps are independent"


def test_poisson_clients_and_seeds_differ() -> None:
    def times(index: int, seed: int) -> list[int]:
        return [due for due, _ in events(PoissonPacer([index], 5.0, seed), [index], 10 * SECOND)]

    assert times(0, 1) == times(0, 1)
    assert not set(times(0, 1)) & set(times(1, 1))
    assert not set(times(0, 1)) & set(times(0, 2))


def test_splitmix64_is_the_published_one() -> None:
    # First outputs for seed 1234567 of the reference implementation (state advances by the golden gamma).
    gamma, state = 0x9E3779B97F4A7C15, 1234567
    outputs = [splitmix64((state + step * gamma) & ((1 << 64) - 1)) for step in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]
