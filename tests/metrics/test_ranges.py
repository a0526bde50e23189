from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.metrics.ranges import RangeSet

numbers = st.integers(0, 60)
sets = st.sets(numbers)


def of(members: set[int]) -> RangeSet:
    made = RangeSet()
    for number in members:
        made.add(number)
    return made


def assert_same(ranges: RangeSet, members: set[int]) -> None:
    assert list(ranges) == sorted(members)
    assert len(ranges) == len(members)
    assert bool(ranges) == bool(members)
    edges = [edge for pair in ranges.ranges() for edge in pair]
    # Sorted, disjoint, not empty and never touching: the form is canonical, so equality is by ranges.
    assert edges == sorted(set(edges))


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "range"]), numbers, numbers)))
def test_every_operation_does_what_a_set_does(operations: list[tuple[str, int, int]]) -> None:
    ranges, members = RangeSet(), set[int]()
    for name, a, b in operations:
        if name == "add":
            ranges.add(a)
            members.add(a)
        elif name == "range":
            ranges.add_range(a, b)
            members.update(range(a, b))
        else:
            assert ranges.discard(a) == (a in members)
            members.discard(a)
        assert_same(ranges, members)
    assert all((number in ranges) == (number in members) for number in range(62))


@given(sets, sets, numbers, numbers)
def test_algebra_is_that_of_sets(a: set[int], b: set[int], low: int, high: int) -> None:
    left, right, window = of(a), of(b), set(range(low, high))
    assert_same(left | right, a | b)
    assert_same(left & right, a & b)
    assert_same(left - right, a - b)
    assert_same(left.clip(low, high), a & window)
    assert_same(left.complement(low, high), window - a)
    assert left.count(low, high) == len(a & window)
    assert_same(left, a)
    assert_same(right, b)


@given(sets)
def test_a_copy_and_the_json_form_are_equal_and_independent(members: set[int]) -> None:
    ranges = of(members)
    copy, back = ranges.copy(), RangeSet.from_list(json.loads(json.dumps(ranges.to_list())))
    assert ranges == copy == back == RangeSet((n, n + 1) for n in members)
    copy.add(1000)
    assert 1000 not in ranges
    assert ranges != copy


@pytest.mark.parametrize("flat", [[1], [3, 2], [1, 1], [1, 4, 4, 5], [5, 6, 1, 2]])
def test_a_list_that_is_no_set_of_ranges_is_refused(flat: list[int]) -> None:
    with pytest.raises(ValueError, match="ranges"):
        RangeSet.from_list(flat)


def test_adding_in_order_keeps_one_range() -> None:
    ranges = RangeSet()
    for number in range(10_000):
        ranges.add(number)
    assert ranges.to_list() == [0, 10_000]


def test_it_equals_only_its_kind_and_shows_its_ranges() -> None:
    assert RangeSet([(1, 3)]) != {1, 2}
    assert repr(RangeSet([(1, 3)])) == "RangeSet([(1, 3)])"
