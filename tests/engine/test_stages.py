"""Stages: what belongs to one is counted in it, on every worker, and nothing is lost between two."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from loadgen.engine.phase import Phase
from loadgen.metrics.recorder import Recorder
from tests.engine.rig import PUBLISH, SUBSCRIBE, until

if TYPE_CHECKING:
    from tests.engine.conftest import Run
    from tests.engine.rig import Rig, Rigs

GROUPS: dict[str, dict[str, Any]] = {
    "pub": {"clients": 4, "publish": PUBLISH | {"rate": "25/s"}},
    "sub": {"subscribe": SUBSCRIBE},
}
HOLDS: dict[str, Any] = {
    "warm": {"hold": "200ms", "record": False},
    "half": {"hold": "200ms", "load": "50%"},
    "more": {"hold": "200ms", "load": "100%..300%"},
}
PLANNED = {"warm": 20, "half": 10, "more": 40}


def start_all(rig: Rig, at: int) -> None:
    """Every hold stage and the drain, told ahead of time as a coordinator does."""
    for name, segment in rig.fleet.shard.segments.items():
        rig.fleet.start_stage(name, "hold", at, record=name != "warm")
        at += segment.duration
    rig.fleet.start_stage("drain", "drain", at)


def test_stages_count_exactly_what_is_due_in_them(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS, HOLDS)) as rig:
            await rig.connect()
            start_all(rig, monotonic_ns() + 20_000_000)
            await rig.settled()
            await until(lambda: rig.fleet.progress()["unique"] == 70)
        assert {stage: rig.count("published", stage) for stage in PLANNED} == PLANNED
        assert rig.count("published") == rig.count("acknowledged") == rig.count("received") == 70
        # The warm-up's are counted, and in no histogram, however late they were answered.
        for metric in ("publish_latency", "publish_service_time", "delivery_latency", "send_lag"):
            assert rig.histogram(metric).count == 50, metric

    run(scenario())


def test_two_workers_do_what_one_does(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, GROUPS, HOLDS)
            async with rigs.rig(plan, (0, 2)) as one, rigs.rig(plan, (1, 2)) as other:
                for rig in (one, other):
                    await rig.connect()
                at = monotonic_ns() + 20_000_000
                for rig in (one, other):
                    start_all(rig, at)
                await one.settled()
                await other.settled()
                await until(lambda: sum(rig.fleet.progress()["unique"] for rig in (one, other)) == 70)
                assert sum(rig.fleet.progress()["expected"] for rig in (one, other)) == 70
        for stage, planned in PLANNED.items():
            assert one.count("published", stage) + other.count("published", stage) == planned
        for metric in ("publish_latency", "delivery_latency"):
            assert one.histogram(metric).count + other.histogram(metric).count == 50

    run(scenario())


def test_a_warm_up_is_left_out_before_its_worker_enters_it(rigs: Rigs, run: Run) -> None:
    # Another worker's first message may arrive before this one's loop wakes for the stage.
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS, HOLDS)) as rig:
            await rig.connect()
            at = monotonic_ns() + 3_600_000_000_000
            rig.fleet.start_stage("warm", "hold", at, record=False)
            rig.fleet.start_stage("steady", "hold", at + 200_000_000)
            present = Recorder().group("g")
            books = rig.fleet.context.books
            found = [books.recorder(at + each, present) for each in (-1, 0, 199_999_999, 200_000_000)]
            assert [each is None for each in found] == [False, True, True, False]
            assert rig.fleet.stage == "connect"

    run(scenario())


def test_what_a_stage_still_owes_is_counted_in_it_even_after_its_seconds_end(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS, HOLDS)) as rig:
            await rig.connect()
            at = monotonic_ns() - 200_000_000
            rig.fleet._pacing.start(rig.fleet.shard.segments["warm"], at)
            rig.fleet.stage = "warm"
            sent = sum(rig.sent())
            # A second ends between the stage's end and the moment the loop comes to the next stage.
            rig.fleet._cut(monotonic_ns())
            client = rig.clients[0]
            client.publish(client.streams[0], at + 199_000_000)
            rig.fleet.start_stage("half", "hold", at + 200_000_000)
            assert rig.count("published", "warm") >= sent + 1
            assert rig.count("published", "half") == 0

    run(scenario())


def test_an_unrecorded_connect_stage_leaves_no_times(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS)) as rig:
            rig.fleet.start_stage(
                "connect", "connect", monotonic_ns(), record=False, connect_rate=1000.0, groups=("pub", "sub")
            )
            await until(lambda: rig.phases() == [Phase.READY] * 5)
        assert rig.count("connects") == 5
        for metric in ("connect_time", "tls_handshake", "subscribe_time"):
            assert rig.histogram(metric).count == 0, metric

    run(scenario())


def test_groups_connect_in_the_stage_that_names_them(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS)) as rig:
            for group, connected in (("sub", 1), ("pub", 5)):
                rig.fleet.start_stage(group, "connect", monotonic_ns(), connect_rate=1000.0, groups=(group,))
                await until(lambda: not rig.fleet.progress()["pending"])
                assert len(broker.connected) == connected
            assert rig.fleet.progress()["ready"] == 5

    run(scenario())


def test_a_subscriber_that_comes_late_is_promised_nothing_from_before(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS)) as rig:
            rig.fleet.start_stage("a", "connect", monotonic_ns(), connect_rate=1000.0, groups=("pub",))
            await until(lambda: rig.phases()[:4] == [Phase.READY] * 4)
            rig.fleet.start_stage("steady", "hold", monotonic_ns())
            rig.fleet.start_stage("b", "connect", monotonic_ns(), connect_rate=1000.0, groups=("sub",))
            await until(lambda: rig.phases()[4] is Phase.READY)
            assert rig.clients[4].log is not None
            assert rig.clients[4].log.absent

    run(scenario())


def test_gauges_say_who_is_connected_where(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, rigs.rig(rigs.plan(broker.port, GROUPS)) as rig:
            await rig.connect()
            rig.fleet._cut(monotonic_ns())
            gauges = rig.snapshots[-1].gauges
            assert gauges["connected|pub"] == gauges["ready|pub"] == 4
            assert gauges["connected|sub"] == 1
            assert gauges[f"connected_node|127.0.0.1:{broker.port}"] == 5
            assert gauges["rss"] > 1 << 20

    run(scenario())
