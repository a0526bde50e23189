"""Runs that are stopped, in every way a run can be stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.report.schema import RESULT_SCHEMA
from tests.cli.conftest import write_scenario
from tests.cli.run_process import LoadgenProcess, loadgen, result_of, until_gone
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from tests.cli.conftest import Certs

LONG = {
    "connect": "stages.connect.connect=1/s",
    "warm-up": "stages.warm-up.hold=5m",
    "steady": "stages.steady.hold=5m",
    "drain": "stages.drain.drain=5m",
}
"""What makes a stage last until it is interrupted; the drain waits for a delivery that the broker drops."""


def run_arguments(stage: str, workers: int) -> list[str]:
    return ["run", "small.yaml", "--view", "plain", "--workers", str(workers), "--set", LONG[stage]]


def check_partial(cwd: Path, process: LoadgenProcess) -> dict[str, Any]:
    """What every interrupted run leaves behind."""
    result = result_of(cwd)
    jsonschema.validate(result, RESULT_SCHEMA)
    assert (result["interrupted"], result["exit_code"]) == (True, 105)
    assert result["ledger"]["lost"] == 0
    last = process.stdout.splitlines()[-1]
    assert last.startswith("report: ")
    assert Path(last.removeprefix("report: ")).is_file()
    assert "exit code 105, interrupted" in process.stdout
    assert (cwd / "runs/latest/histograms.hlog").is_file()
    return result


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
@pytest.mark.parametrize("stage", LONG)
def test_a_stage_is_interrupted(
    tmp_path: Path, certs: Certs, stage: str, number: signal.Signals, workers: int
) -> None:
    async def main() -> None:
        broker = FakeBroker(ssl=certs.server_context(), drop=lambda n, _: stage == "drain" and n == 3)
        async with broker:
            write_scenario(tmp_path, certs, broker.port)
            async with LoadgenProcess(*run_arguments(stage, workers), cwd=tmp_path) as process:
                await process.says(f"stage {stage} (")
                # One connection of the preflight, then those of clients.
                await broker.until(lambda: len(broker.connects) >= (2 if stage == "connect" else 7))
                if stage in ("warm-up", "steady"):
                    await broker.until(lambda: len(broker.publishes) >= 20)
                process.signal_group(number)
                assert await process.end() == 105
            await broker.until(lambda: not broker.connections)
        result = check_partial(tmp_path, process)
        clean = sum(one.reason_code == 0 for one in broker.disconnects)
        accepted = result["codes"]["connack"]["0x00"] + 1
        assert clean == accepted
        assert broker.errors == []
        assert [one["name"] for one in result["stages"]][: list(LONG).index(stage) + 1] == list(LONG)[
            : list(LONG).index(stage) + 1
        ]
        if stage != "connect":
            assert result["totals"]["published"] == len(broker.publishes) > 0
            assert result["totals"]["connected"] == 6

    asyncio.run(main())


def test_ctrl_c_before_the_first_connection(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        connected = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            write_scenario(tmp_path, certs, server.sockets[0].getsockname()[1])
            for number in (signal.SIGINT, signal.SIGTERM):
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
            async with LoadgenProcess(*run_arguments("steady", 2), cwd=tmp_path) as process:
                await process.says("  steady  connected=6/6")
                workers = process.children("worker_main")
                # A worker that never answers: without the second Ctrl-C this takes half a minute.
                os.kill(workers[0], signal.SIGSTOP)
                process.signal_group(signal.SIGINT)
                await process.says("disconnecting")
                process.signal_group(signal.SIGINT)
                begun = monotonic()
                assert await process.end() == 105
                assert monotonic() - begun < 10  # mostly the writing of report.html
            for pid in workers:
                await until_gone(pid, 5)
        result = check_partial(tmp_path, process)
        assert result["totals"]["published"] > 0
        assert any("interrupted twice" in reason for reason in result["reasons"])

    asyncio.run(main())


def test_a_killed_coordinator_leaves_no_process_and_a_readable_run(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        write_scenario(tmp_path, certs, 1)
        arguments = [*run_arguments("steady", 2), "--target", "embedded"]
        async with LoadgenProcess(*arguments, cwd=tmp_path) as process:
            await process.says("  steady  connected=6/6", times=2)
            left = process.children("worker_main") + process.children("embedded_server")
            assert len(left) == 3
            process.process.kill()
            for pid in left:
                await until_gone(pid, 15)
            await process.process.wait()
        assert not (tmp_path / "runs/latest/result.json").exists()
        report = await loadgen("report", "runs/latest", cwd=tmp_path)
        assert report.process.returncode == 0
        assert "the run was killed" in report.stdout
        assert (tmp_path / "runs/latest/report.html").is_file()
        as_json = await loadgen("report", "--output-format", "json", cwd=tmp_path)
        result = json.loads(as_json.stdout)
        jsonschema.validate(result, RESULT_SCHEMA)
        assert result["verdict"] == "invalid"
        assert result["totals"]["published"] > 0
        assert result["metrics"]["publish_latency"]["count"] > 0

    asyncio.run(main())


def test_a_killed_worker_makes_the_run_invalid_at_once(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            write_scenario(tmp_path, certs, broker.port)
            async with LoadgenProcess(*run_arguments("steady", 2), cwd=tmp_path) as process:
                await process.says("  steady  connected=6/6")
                os.kill(process.children("worker_main")[1], signal.SIGKILL)
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


def test_a_stopped_worker_makes_the_run_invalid(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            write_scenario(tmp_path, certs, broker.port)
            async with LoadgenProcess(*run_arguments("steady", 2), cwd=tmp_path) as process:
                await process.says("  steady  connected=6/6")
                stopped = process.children("worker_main")[0]
                os.kill(stopped, signal.SIGSTOP)
                await process.says("worker 0 said nothing for")
                assert await process.end() == 98
            await until_gone(stopped, 5)
        result = result_of(tmp_path)
        assert result["verdict"] == "invalid"
        assert any("worker 0 said nothing" in reason for reason in result["reasons"])
        assert any("a worker was silent" in reason for reason in result["reasons"])

    asyncio.run(main())
