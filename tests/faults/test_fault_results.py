"""What time `after: FAULT` is about, when faults follow each other closely or overlap."""

from __future__ import annotations

from loadgen.faults.results import _after
from loadgen.metrics.fault_record import FaultRecord
from loadgen.metrics.fault_window import RunSpan

SECOND = 1_000_000_000
SPAN = RunSpan(0, 200 * SECOND, lambda _: 1.0)


def record(number: int, injected: float, closed: float) -> FaultRecord:
    return FaultRecord(
        number, f"f{number}", "kill", injected_ns=int(injected * SECOND), closed_ns=int(closed * SECOND)
    )


def after(*windows: tuple[float, float]) -> tuple[float, float]:
    """The time after the first of these windows, in seconds."""
    records = [record(number, *window) for number, window in enumerate(windows)]
    start, end = _after(records[0], records, SPAN)
    return start / SECOND, end / SECOND


def test_alone_it_is_as_long_as_a_baseline_or_to_the_end() -> None:
    assert after((10, 20)) == (20, 50)
    assert after((10, 190)) == (190, 200)


def test_the_next_fault_ends_it() -> None:
    assert after((10, 20), (28, 40)) == (20, 28)
    assert after((10, 20), (21, 40)) == (20, 21), "one whole interval is something"


def test_another_fault_that_follows_within_a_second_is_waited_for() -> None:
    assert after((10, 20), (20.4, 33)) == (33, 63)
    assert after((10, 20), (20.4, 33), (33.9, 40), (50, 60)) == (40, 50)


def test_another_fault_that_is_still_open_is_waited_for() -> None:
    assert after((10, 20), (15, 33)) == (33, 63)
    assert after((15, 20), (10, 33)) == (33, 63)
    assert after((15, 20), (10, 12), (0, 0)) == (20, 50), "what is over, or never happened, is nothing"
