"""Runs that are stopped, in every way a run can be stopped."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio import FIRST_COMPLETED
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGSTOP, SIGTERM
from time import monotonic
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.backend.worker_news import WorkerNews
from loadgen.cli import call
from loadgen.coordination.coordinator import Observer
from loadgen.engine.loop import run_on_fast_loop
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.run import RunOptions, prepare, read_scenario, run_scenario
from tests.cli.conftest import write_scenario
from tests.cli.run_process import LoadgenProcess, result_of, until_gone
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from signal import Signals

    from loadgen.coordination.coordinator import Coordinator
    from tests.cli.conftest import Certs

LONG = {
    "connect": "stages.connect.connect=1/s",
    "warm-up": "stages.warm-up.hold=5m",
    "steady": "stages.steady.hold=5m",
    "drain": "stages.drain.drain=5m",
}
"""What makes a stage last until it is interrupted; the drain waits for a delivery that the broker drops."""


def run_arguments(stage: str, *more: str) -> list[str]:
    return ["run", "small.yaml", "--view", "plain", "--workers", "2", "--set", LONG[stage], *more]


def check_partial(cwd: Path) -> dict[str, Any]:
    """What every interrupted run leaves on disk."""
    result = result_of(cwd)
    jsonschema.validate(result, RESULT_SCHEMA)
    assert (result["interrupted"], result["exit_code"]) == (True, 105)
    assert result["ledger"]["lost"] == 0
    assert (cwd / "runs/latest/histograms.hlog").is_file()
    return result


class Interrupted:
    """A run against a broker that keeps one stage from ending, until it is interrupted."""

    def __init__(self, stage: str, certs: Certs) -> None:
        self.stage = stage
        self.broker = FakeBroker(ssl=certs.server_context(), drop=lambda n, _: stage == "drain" and n == 3)

    async def in_the_middle(self) -> None:
        """Wait, once the stage has begun, until something happens in it."""
        # One connection of the preflight, then those of clients.
        await self.broker.until(lambda: len(self.broker.connects) >= (2 if self.stage == "connect" else 7))
        if self.stage in ("warm-up", "steady"):
            await self.broker.until(lambda: len(self.broker.publishes) >= 20)

    async def until_all_left(self) -> None:
        await self.broker.until(lambda: not self.broker.connections)

    def check(self, cwd: Path) -> None:
        result = check_partial(cwd)
        clean = sum(one.reason_code == 0 for one in self.broker.disconnects)
        accepted = result["codes"]["connack"]["0x00"] + 1
        assert clean == accepted
        assert self.broker.errors == []
        so_far = list(LONG).index(self.stage) + 1
        assert [one["name"] for one in result["stages"]][:so_far] == list(LONG)[:so_far]
        if self.stage != "connect":
            assert result["totals"]["published"] == len(self.broker.publishes) > 0
            assert result["totals"]["connected"] == 6


@pytest.mark.parametrize(
    ("stage", "number"),
    [*zip(LONG, [SIGINT, SIGTERM, SIGINT, SIGTERM], strict=True)],
)
def test_a_stage_of_a_process_group_is_interrupted(
    tmp_path: Path, certs: Certs, stage: str, number: Signals
) -> None:
    run = Interrupted(stage, certs)

    async def main() -> LoadgenProcess:
        async with run.broker:
            write_scenario(tmp_path, certs, run.broker.port)
            with_report = "--report" if stage == "steady" else "--no-report"
            async with LoadgenProcess(*run_arguments(stage, with_report), cwd=tmp_path) as process:
                await process.says(f"stage {stage} (")
                await run.in_the_middle()
                process.signal_group(number)
                assert await process.end() == 105
            await run.until_all_left()
            return process

    process = asyncio.run(main())
    run.check(tmp_path)
    assert "exit code 105, interrupted" in process.stdout
    kind, _, path = process.stdout.splitlines()[-1].partition(": ")
    assert kind == ("report" if stage == "steady" else "run")
    assert Path(path).exists()


@pytest.mark.parametrize(
    ("stage", "number"),
    [*zip(LONG, [SIGTERM, SIGINT, SIGTERM, SIGINT], strict=True)],
)
def test_a_stage_is_interrupted_when_the_clients_are_in_the_same_process(
    tmp_path: Path, certs: Certs, stage: str, number: Signals
) -> None:
    run = Interrupted(stage, certs)

    async def main() -> int:
        begun = asyncio.Event()

        def note(text: str) -> None:
            if text.startswith(f"stage {stage} ("):
                begun.set()

        async with run.broker:
            path = write_scenario(tmp_path, certs, run.broker.port)
            options = RunOptions(path, [LONG[stage]], workers=1, runs=tmp_path / "runs")
            scenario = read_scenario(options)
            running = asyncio.create_task(
                run_scenario(
                    options, scenario, prepare(options, scenario), lambda _plan: Observer(on_note=note)
                )
            )
            await asyncio.wait([running, asyncio.create_task(begun.wait())], return_when=FIRST_COMPLETED)
            assert not running.done(), running.result()
            await run.in_the_middle()
            os.kill(os.getpid(), number)
            outcome = await running
            await run.until_all_left()
            return outcome.exit_code

    assert run_on_fast_loop(main()) == 105
    run.check(tmp_path)


def test_ctrl_c_before_the_first_connection(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        connected = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            write_scenario(tmp_path, certs, server.sockets[0].getsockname()[1])
            for number in (SIGINT, SIGTERM):
                connected.clear()
                async with LoadgenProcess("run", "small.yaml", cwd=tmp_path) as process:
                    await connected.wait()
                    process.signal_group(number)
                    assert await process.end() == 105
                assert process.stderr[-1] == "interrupted"
        assert not (tmp_path / "runs").exists()

    asyncio.run(main())


def test_second_ctrl_c_ends_at_once_and_keeps_the_results(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            write_scenario(tmp_path, certs, broker.port)
            async with LoadgenProcess(*run_arguments("steady", "--no-report"), cwd=tmp_path) as process:
                await process.says("  steady  connected=6/6")
                workers = process.children("worker_main")
                # A worker that never answers: without the second Ctrl-C this takes half a minute.
                os.kill(workers[0], SIGSTOP)
                process.signal_group(SIGINT)
                await process.says("disconnecting")
                process.signal_group(SIGINT)
                begun = monotonic()
                assert await process.end() == 105
                assert monotonic() - begun < 10
            for pid in workers:
                await until_gone(pid, 5)
        result = check_partial(tmp_path)
        assert result["totals"]["published"] > 0
        assert any("interrupted twice" in reason for reason in result["reasons"])

    asyncio.run(main())


def test_a_killed_coordinator_leaves_no_process_and_a_readable_run(
    tmp_path: Path, certs: Certs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        write_scenario(tmp_path, certs, 1)
        arguments = run_arguments("steady", "--target", "embedded")
        async with LoadgenProcess(*arguments, cwd=tmp_path) as process:
            await process.says("  steady  connected=6/6", times=2)
            left = process.children("worker_main") + process.children("embedded_server")
            assert len(left) == 3
            process.process.kill()
            for pid in left:
                await until_gone(pid, 15)
            await process.process.wait()

    asyncio.run(main())
    assert not (tmp_path / "runs/latest/result.json").exists()
    monkeypatch.chdir(tmp_path)
    assert call(["report", "runs/latest"]) == 0
    assert "the run was killed" in capsys.readouterr().out
    assert (tmp_path / "runs/latest/report.html").is_file()
    assert call(["report", "--output-format", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, RESULT_SCHEMA)
    assert result["verdict"] == "invalid"
    assert result["totals"]["published"] > 0
    assert result["metrics"]["publish_latency"]["count"] > 0


def test_a_killed_worker_makes_the_run_invalid_at_once(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            write_scenario(tmp_path, certs, broker.port)
            async with LoadgenProcess(*run_arguments("steady", "--no-report"), cwd=tmp_path) as process:
                await process.says("  steady  connected=6/6")
                os.kill(process.children("worker_main")[1], SIGKILL)
                begun = monotonic()
                await process.says("a worker is lost: worker 1 died (SIGKILL)")
                assert monotonic() - begun < 3
                assert await process.end() == 98
        result = result_of(tmp_path)
        jsonschema.validate(result, RESULT_SCHEMA)
        assert result["verdict"] == "invalid"
        assert result["generator"]["workers_lost"] == 1
        assert any("worker 1 died" in reason for reason in result["reasons"])
        assert result["interrupted"] is False

    asyncio.run(main())


def test_a_stopped_worker_makes_the_run_invalid(
    tmp_path: Path, certs: Certs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Users get ten seconds, for busy machines; three are enough beside one that speaks five times in each.
    monkeypatch.setattr("loadgen.coordination.coordinator.WorkerNews", partial(WorkerNews, silence_limit=3.0))
    stopped: list[int] = []

    def stop_one(_second: object, coordinator: Coordinator) -> None:
        if coordinator.clock.name == "steady" and not stopped:
            stopped.append(coordinator.pool.pids()[0])
            os.kill(stopped[0], SIGSTOP)

    async def main() -> int:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            path = write_scenario(tmp_path, certs, broker.port)
            options = RunOptions(path, [LONG["steady"]], workers=2, runs=tmp_path / "runs")
            scenario = read_scenario(options)
            observer = Observer(on_second=stop_one)
            prepared = prepare(options, scenario)
            outcome = await run_scenario(options, scenario, prepared, lambda _plan: observer)
        await until_gone(stopped[0], 5)
        return outcome.exit_code

    assert run_on_fast_loop(main()) == 98
    result = result_of(tmp_path)
    assert result["verdict"] == "invalid"
    assert any("worker 0 said nothing for" in reason for reason in result["reasons"])
    assert any("a worker was silent" in reason for reason in result["reasons"])
