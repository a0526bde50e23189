"""Workers inline and as processes: the same account of the same plan, and no end that nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.backend.messages import Setup, StartStage
from loadgen.backend.pool import WorkerPool
from loadgen.engine.client import Client
from loadgen.metrics.delivery import PublisherLog, SubscriberLog
from tests.backend.lead import PATIENCE, leading

if TYPE_CHECKING:
    from loadgen.backend.messages import Final
    from loadgen.engine.stream import Stream
    from tests.backend.conftest import Run
    from tests.engine.rig import Rigs

GROUPS: dict[str, dict[str, Any]] = {
    "pub": {
        "clients": 5,
        "publish": [
            {"topic": "t/{index}", "qos": 1, "rate": "30/s", "payload": "64B"},
            {"topic": "p/{index}", "qos": 0, "rate": "20/s", "payload": "64B", "arrival": "poisson"},
        ],
    },
    "sub": {"clients": 3, "subscribe": [{"filter": "t/+", "qos": 1}, {"filter": "p/#", "qos": 1}]},
}
HOLDS: dict[str, str | dict[str, Any]] = {"steady": "400ms", "half": {"hold": "400ms", "load": "50%"}}


def account(finals: list[Final]) -> tuple[dict[int, tuple[int, ...]], dict[int, dict[int, int]]]:
    """(publisher → sent, acknowledged, not attempted), (subscriber → publisher → next due)."""
    sent: dict[int, tuple[int, ...]] = {}
    received: dict[int, dict[int, int]] = {}
    for final in finals:
        for number, wire in final.publishers.items():
            assert number not in sent
            log = PublisherLog.from_wire(wire)
            sent[number] = (log.sent, log.acknowledged, log.not_attempted)
        for number, wire in final.subscribers.items():
            heard = SubscriberLog.from_wire(wire)
            received[number] = {publisher: heard.due(publisher) for publisher in sorted(heard.heard)}
    return dict(sorted(sent.items())), dict(sorted(received.items()))


def test_one_worker_inline_and_two_processes_account_alike(rigs: Rigs, run: Run) -> None:
    accounts, totals = [], []

    async def scenario() -> None:
        for workers, inline in ((1, True), (2, False)):
            async with rigs.broker() as broker:
                plan = rigs.plan(broker.port, GROUPS, HOLDS)
                async with leading(plan, workers, inline=inline) as lead:
                    assert len(lead.pool.pids()) == (0 if inline else workers)
                    await lead.set_up()
                    await lead.connect()
                    assert lead.total("ready") == 8
                    await lead.hold_and_drain()
                    await lead.finish()
                    assert not lead.failed
                    assert sorted(final.worker for final in lead.finals) == list(range(workers))
                    assert all(final.rss_peak > 1 << 20 for final in lead.finals)
                    assert {final.tls[0] for final in lead.finals if final.tls} == {"TLSv1.3"}
                    assert len(broker.disconnects) == 8
                    accounts.append(account(lead.finals))
                    merged = lead.merged()
                    names = ("published", "acknowledged", "received", "dropped", "connects")
                    counts = {name: merged.count(name) for name in names}
                    for metric in ("publish_latency", "delivery_latency", "connect_time", "send_lag"):
                        counts[metric] = merged.select(metric).count
                    totals.append(counts)

    run(scenario())
    assert accounts[0] == accounts[1]
    assert totals[0] == totals[1]
    assert totals[0]["acknowledged"] == 5 * (12 + 6)
    assert totals[0]["published"] > totals[0]["acknowledged"]
    assert totals[0]["received"] == 3 * totals[0]["published"]


def test_a_worker_ends_its_clients_and_itself_when_nobody_speaks_to_it_any_more(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker:
            plan = rigs.plan(broker.port, GROUPS, HOLDS)
            async with leading(plan, 1) as lead:
                await lead.set_up()
                await lead.connect()
                (process,) = lead.pool._processes
                assert process.stdin is not None
                process.stdin.close()
                assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
                assert len(broker.disconnects) == 8
                await lead.until(lambda: bool(lead.failed))
                assert lead.failed[0].what == "worker 0 died (exit code 0)"

    run(scenario())


def test_a_worker_that_is_killed_is_noticed_at_once(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with rigs.broker() as broker, leading(rigs.plan(broker.port, GROUPS, HOLDS), 2) as lead:
            await lead.set_up()
            os.kill(lead.pool.pids()[1], signal.SIGKILL)
            await lead.until(lambda: bool(lead.failed))
            assert (lead.failed[0].worker, lead.failed[0].what) == (1, "worker 1 died (SIGKILL)")
            # The other goes on, and speaking to the dead one hurts nobody.
            await lead.finish()
            assert [final.worker for final in lead.finals] == [0]

    run(scenario())


def test_a_worker_that_we_give_up_is_not_reported(rigs: Rigs, run: Run) -> None:
    async def scenario() -> None:
        async with leading(rigs.plan(1, GROUPS, HOLDS), 1) as lead:
            (process,) = lead.pool._processes
            lead.pool.kill(0)
            assert await asyncio.wait_for(process.wait(), PATIENCE) == -signal.SIGKILL
            await asyncio.wait(lead.pool._tasks, timeout=PATIENCE)
            assert lead.pool.messages.empty()

    run(scenario())


@pytest.mark.parametrize("inline", [True, False])
def test_what_a_human_can_mend_arrives_with_its_mend(rigs: Rigs, run: Run, inline: bool) -> None:  # noqa: FBT001
    async def scenario() -> None:
        plan = rigs.plan(1, GROUPS, HOLDS)
        shard = plan.shard(0, 1)
        broken = replace(shard, target=replace(shard.target, ca="/nowhere/ca.pem"))
        async with leading(plan, 1, inline=inline) as lead:
            lead.pool.send(0, Setup(broken, 1, 1))
            await lead.until(lambda: bool(lead.failed))
            (failed,) = lead.failed
            assert "/nowhere/ca.pem" in failed.what
            assert failed.mend or "tls.ca" in failed.what
            assert failed.exit_code == 104

    run(scenario())


def test_a_bug_in_a_callback_fails_the_worker_and_its_fleet_stops(
    rigs: Rigs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_client: Client, _stream: Stream, _intended: int) -> None:
        raise ZeroDivisionError("a bug")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with rigs.broker() as broker:
            async with leading(rigs.plan(broker.port, GROUPS, HOLDS), 1, inline=True) as lead:
                await lead.set_up()
                await lead.connect()
                monkeypatch.setattr(Client, "publish", broken)
                lead.pool.broadcast(StartStage("steady", "hold", monotonic_ns() + 50_000_000))
                await lead.until(lambda: bool(lead.failed))
            assert lead.failed[0].what.startswith("ZeroDivisionError: a bug (")
            await broker.until(lambda: not broker.connections)
            assert len(broker.disconnects) == 8
        assert loop.get_exception_handler() is None

    run(scenario())


def test_only_one_worker_fits_inline() -> None:
    with pytest.raises(ValueError, match="inline"):
        WorkerPool(2, inline=True)
