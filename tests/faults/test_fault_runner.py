"""Faults at their moment, healed in time, healed whatever happens: against a node control of our own."""

from __future__ import annotations

import asyncio
import functools
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.backend.messages import MarkPublishers
from loadgen.errors import BrokerError
from loadgen.faults.fault_run import Outcome, troubles
from loadgen.faults.marks import Mark
from loadgen.faults.runner import FaultRunner, Ground
from loadgen.plan.faults import FaultPlan
from tests.fakes.node_control import FakeControl

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from loadgen.backend.messages import Message
    from loadgen.broker.faults import FaultOrder, Step


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a test be a coroutine."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


MS = 1_000_000
LATE = 2000 * MS
"""What a busy machine may add."""
NODES = ("127.0.0.1:8883", "127.0.0.2:8883", "127.0.0.3:8883")


def fault(number: int = 0, **changes: object) -> FaultPlan:
    values: dict[str, Any] = {
        "number": number,
        "name": "kill",
        "fault": "kill",
        "entry": number,
        "kind": "kill",
        "targets": ("rabbit2",),
        "stage": "steady",
        "offset": 0,
        "heals": True,
        "heal_after": None,
        "heal_at_end": False,
        "delay": 0,
        "jitter": 0,
        "share": 1.0,
        "command": "",
        "heal_command": "",
        "between": 0,
        "graceful": True,
        "maintenance": False,
    }
    return FaultPlan(**{**values, **changes})


async def poll(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of us
            await asyncio.sleep(0.005)


class Rig:
    """A runner with everything around it noted."""

    def __init__(self, *faults: FaultPlan, connected: tuple[int, int, int] = (5, 9, 9)) -> None:
        self.control = FakeControl()
        self.told: list[tuple[int, Message]] = []
        self.events: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.runner = FaultRunner(
            faults,
            self.control,
            7,
            Ground(
                nodes=NODES,
                tell_workers=lambda message: self.told.append((monotonic_ns(), message)),
                write_event=self.events.append,
                note=self.notes.append,
                connected=lambda node: connected[NODES.index(node)],
                ready=lambda: 23,
            ),
        )

    async def until(self, *acts: str) -> None:
        """Wait until these were done first, in whatever order."""
        await poll(lambda: sorted(self.control.done[: len(acts)]) == sorted(acts))

    def phases(self, number: int = 0) -> list[str]:
        return [event["phase"] for event in self.events if event["number"] == number]


@in_a_loop
async def test_inject_and_heal_at_their_times() -> None:
    rig = Rig(fault(offset=60 * MS, heal_after=50 * MS))
    start = monotonic_ns()
    rig.runner.enter("warm-up", start)
    rig.runner.enter("steady", start)
    await rig.until("inject kill", "injected kill", "heal kill", "healed kill")
    (run,) = rig.runner.runs
    (inject, order, at), (_, _, done), (_, _, healing), _ = rig.control.acts
    assert (inject, order.nodes) == ("inject", ("rabbit2",))
    assert 60 * MS <= at - start < 60 * MS + LATE
    assert 50 * MS <= healing - done < 50 * MS + LATE
    # Every publisher is marked before the act, so that what it costs lies inside.
    assert rig.told[0][1] == MarkPublishers(0, "open")
    assert rig.told[0][0] <= at - 20 * MS
    record = run.record
    assert record.nodes == ("rabbit2",)
    assert record.endpoints == ("127.0.0.2:8883",)
    assert at <= record.injected_ns <= record.injected_done_ns <= record.healing_ns <= record.healed_ns
    assert [step[:2] for step in record.steps] == [("struck", "rabbit2"), ("serving", "rabbit2")]
    assert rig.phases() == ["injecting", "struck", "injected", "healing", "serving", "healed"]
    assert run.open
    assert run.ready_before == 23
    assert not rig.runner.unhealed
    assert list(troubles(rig.runner.runs)) == []


@in_a_loop
async def test_the_first_act_is_the_beginning_and_not_its_preparation() -> None:
    rig = Rig(fault())

    async def prepare_and_strike(order: FaultOrder, step: Step) -> None:
        await asyncio.sleep(0.05)
        step("killed", order.nodes[0], monotonic_ns())
        await asyncio.sleep(0.02)

    rig.control.inject = prepare_and_strike  # type: ignore[method-assign]
    start = monotonic_ns()
    rig.runner.enter("steady", start)
    await poll(lambda: rig.runner.runs[0].outcome is Outcome.INJECTED)
    record = rig.runner.runs[0].record
    assert record.injected_ns == record.steps[0][2] > start + 50 * MS
    assert record.injected_done_ns >= record.injected_ns + 20 * MS
    await rig.runner.end()


@pytest.mark.parametrize("connected", [(1, 2, 3), (9, 2, 3)])
@in_a_loop
async def test_the_busiest_node_is_the_one_with_most_of_our_clients(connected: tuple[int, int, int]) -> None:
    rig = Rig(fault(targets=("busiest",)), connected=connected)
    rig.runner.enter("steady", monotonic_ns())
    await rig.until("inject kill", "injected kill")
    most = connected.index(max(connected))
    assert rig.runner.runs[0].record.endpoints == (NODES[most],)
    assert rig.runner.runs[0].record.target == "busiest"
    await rig.runner.end()


@in_a_loop
async def test_seed_and_number_decide_which_one() -> None:
    rigs = [Rig(*(fault(number, targets=("one",)) for number in range(8))) for _ in range(2)]
    for rig in rigs:
        rig.runner.enter("steady", monotonic_ns())
        await rig.until(*(["inject kill", "injected kill"] * 8))
        await rig.runner.end()
    first, second = ([run.record.nodes for run in rig.runner.runs] for rig in rigs)
    assert first == second
    assert len(set(first)) > 1


@in_a_loop
async def test_a_fault_whose_stage_ended_before_is_not_injected_and_says_so() -> None:
    rig = Rig(fault(stage="drain", offset=10_000 * MS), fault(1, stage="steady", offset=5 * MS))
    now = monotonic_ns()
    rig.runner.enter("steady", now)
    rig.runner.leave("steady", now + 10 * MS)  # it ends after its fault's moment, as a stage left early does
    await rig.until("inject kill", "injected kill")
    rig.runner.enter("drain", monotonic_ns())
    rig.runner.leave("drain", monotonic_ns())
    assert rig.runner.runs[0].outcome is Outcome.NOT_REACHED
    assert rig.runner.runs[1].outcome is Outcome.INJECTED
    assert list(troubles(rig.runner.runs)) == [
        "fault kill was not injected: stage drain ended before drain+10s"
    ]
    await rig.runner.end()
    assert rig.control.done == ["inject kill", "injected kill", "heal kill", "healed kill"]
    assert rig.phases(0) == ["not reached"]


@in_a_loop
async def test_a_fault_that_never_had_its_turn_is_named_at_the_end() -> None:
    rig = Rig(fault(stage="later"))
    await rig.runner.end()
    assert list(troubles(rig.runner.runs)) == ["fault kill was not injected: the run ended before"]
    assert rig.control.acts == []


@in_a_loop
async def test_a_drain_heals_all_but_what_lasts_to_the_end() -> None:
    rig = Rig(fault(0), fault(1, heal_at_end=True, targets=("rabbit3",)), fault(2, heal_after=60_000 * MS))
    rig.runner.enter("steady", monotonic_ns())
    await rig.until(*(["inject kill", "injected kill"] * 3))
    await rig.runner.heal_for_drain()
    healed = [bool(run.record.healed_ns) for run in rig.runner.runs]
    assert healed == [True, False, True]
    await rig.runner.end()
    await rig.runner.end()
    assert rig.control.done.count("heal kill") == 3
    assert not rig.runner.unhealed


@in_a_loop
async def test_an_injection_that_fails_midway_is_healed_and_told() -> None:
    async def fail(_: FaultOrder) -> None:
        raise BrokerError("rabbit2 does not die", "look at it with ps")

    rig = Rig(fault())
    rig.control.on_inject = fail
    rig.runner.enter("steady", monotonic_ns())
    await rig.until("inject kill")
    await rig.runner.end()
    assert rig.control.done == ["inject kill", "heal kill", "healed kill"]
    assert list(troubles(rig.runner.runs)) == [
        "fault kill could not be injected: rabbit2 does not die (look at it with ps)"
    ]


@in_a_loop
async def test_healing_that_fails_is_tried_again_at_the_end_and_told_once() -> None:
    async def fail(_: FaultOrder) -> None:
        raise OSError("no such cluster")

    rig = Rig(fault(0, heal_after=5 * MS), fault(1, targets=("rabbit3",)))
    rig.control.on_heal = fail
    rig.runner.enter("steady", monotonic_ns())
    await poll(lambda: bool(rig.runner.runs[0].trouble))
    await rig.runner.end()
    assert rig.control.done.count("heal kill") == 3
    assert list(troubles(rig.runner.runs)) == [
        "fault kill could not be healed: OSError: no such cluster",
        "fault kill could not be healed: OSError: no such cluster",
    ]
    assert rig.runner.unhealed


@in_a_loop
async def test_healing_that_fails_first_and_then_succeeds_is_no_trouble() -> None:
    tries = []

    async def fail_once(_: FaultOrder) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise BrokerError("not yet")

    rig = Rig(fault(0, heal_after=5 * MS))
    rig.control.on_heal = fail_once
    rig.runner.enter("steady", monotonic_ns())
    await poll(lambda: bool(rig.runner.runs[0].trouble))
    await rig.runner.end()
    assert list(troubles(rig.runner.runs)) == []
    assert not rig.runner.unhealed


@in_a_loop
async def test_the_end_lets_a_stop_finish_and_breaks_off_a_tour() -> None:
    release = asyncio.Event()

    async def hold(order: FaultOrder) -> None:
        if order.kind == "rolling-restart":
            await asyncio.Event().wait()
        await release.wait()

    rig = Rig(
        fault(0, kind="stop", name="stop"),
        fault(1, kind="rolling-restart", name="tour", targets=("all",), heals=False),
    )
    rig.control.on_inject = hold
    rig.runner.enter("steady", monotonic_ns())
    await rig.until("inject stop", "inject rolling-restart")
    end = asyncio.create_task(rig.runner.end())
    await asyncio.sleep(0.03)
    assert "heal stop" not in rig.control.done
    release.set()
    await end
    assert rig.control.done[2:4] == ["injected stop", "heal stop"]
    assert "heal rolling-restart" in rig.control.done
    assert list(troubles(rig.runner.runs)) == ["fault tour was broken off: the run ended before it was done"]


@in_a_loop
async def test_two_who_wait_for_one_healing_heal_once() -> None:
    release = asyncio.Event()

    async def hold(_: FaultOrder) -> None:
        await release.wait()

    rig = Rig(fault(0, heal_after=MS))
    rig.control.on_heal = hold
    rig.runner.enter("steady", monotonic_ns())
    await rig.until("inject kill", "injected kill", "heal kill")
    assert rig.runner.healing
    ends = [asyncio.create_task(rig.runner.end()), asyncio.create_task(rig.runner.end())]
    await asyncio.sleep(0.02)
    ends[0].cancel()
    release.set()
    await ends[1]
    assert rig.control.done == ["inject kill", "injected kill", "heal kill", "healed kill"]


@in_a_loop
async def test_kinds_that_heal_themselves_are_not_healed() -> None:
    rig = Rig(
        fault(0, kind="reset", heals=False),
        fault(1, kind="rolling-restart", heals=False),
        fault(2, kind="run", targets=(), command="true", heals=False),
        fault(3, kind="run", targets=(), command="true", heal_command="true"),
    )
    rig.runner.enter("steady", monotonic_ns())
    await poll(lambda: all(run.outcome is Outcome.INJECTED for run in rig.runner.runs))
    await rig.runner.end()
    assert [what for what in rig.control.done if what.startswith("heal ")] == ["heal run"]
    reset, tour, run, _ = (each.record for each in rig.runner.runs)
    assert not reset.healed_ns
    assert tour.healed_ns == tour.injected_done_ns
    assert run.endpoints == ()


@in_a_loop
async def test_a_mark_has_a_window_of_its_own() -> None:
    rig = Rig(fault(stage="later"))
    rig.runner.mark(Mark(123 * MS, "power of rack 2 off", 5 * MS))
    (run,) = rig.runner.open_windows()
    assert (run.record.number, run.record.name, run.record.kind) == (1, "power of rack 2 off", "mark")
    assert run.record.injected_ns == 123 * MS
    assert rig.told[0][1] == MarkPublishers(1, "open")
    rig.runner.close_window(run, "recovery")
    rig.runner.close_window(run, "end")
    assert rig.told[1:] == [(rig.told[1][0], MarkPublishers(1, "close"))]
    assert run.record.closed_by == "recovery"
    assert rig.runner.open_windows() == []
    await rig.runner.end()
