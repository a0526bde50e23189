"""Runs with faults, from scenario file to report: what breaks and mends is a broker of our own, by signal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import jsonschema

from loadgen.report.schema import RESULT_SCHEMA
from tests.cli.conftest import certs, write_scenario
from tests.cli.run_process import LoadgenProcess, loadgen, result_of
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from tests.cli.conftest import Certs

__all__ = ["certs"]

PATIENT = ["--set", "generator.send_lag=5s", "--set", "generator.loop_lag=5s", "--view", "plain"]
LATE = 2.0
"""Seconds that a busy machine may add."""


@contextlib.asynccontextmanager
async def mortal_broker(certs: Certs) -> AsyncIterator[FakeBroker]:
    """A broker that SIGUSR1 to this process kills, and SIGUSR2 starts again."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def start(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        tasks.add(asyncio.ensure_future(what()))

    async with FakeBroker(ssl=certs.server_context()) as broker:
        for number, what in ((signal.SIGUSR1, broker.stop), (signal.SIGUSR2, broker.listen)):
            loop.add_signal_handler(number, start, what)
        try:
            yield broker
            await asyncio.gather(*tasks)
        finally:
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                loop.remove_signal_handler(number)


def fault(at: str, **more: str) -> list[str]:
    """The options that add a fault which kills the broker, healed as `more` says."""
    entry = {
        "name": "crash",
        "at": at,
        "run": f"kill -USR1 {os.getpid()}",
        "heal": f"kill -USR2 {os.getpid()}",
    }
    return ["--set", f"faults={json.dumps([entry | more])}"]


def events_of(cwd: Path, kind: str) -> list[dict[str, Any]]:
    lines = (cwd / "runs/latest/events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_a_fault_and_a_mark_have_their_windows(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with mortal_broker(certs) as broker:
            write_scenario(tmp_path, certs, broker.port)
            thresholds = {
                "publish_latency{during: crash}": ["p99 < 5s"],
                "messages_lost{during: crash}": ["count == 0"],
                "publish_latency{after: crash}": ["count > 0"],
            }
            arguments = [*PATIENT, *fault("steady+3500ms", heal_after="400ms"), "--workers", "2"]
            # 'after: crash' begins when the mark's window has closed, too, and a busy machine marks late.
            arguments += ["--set", "stages.steady.hold=18s", "--set", f"thresholds={json.dumps(thresholds)}"]
            async with LoadgenProcess("run", "small.yaml", *arguments, cwd=tmp_path) as process:
                await process.says("fault crash: run")
                await process.says("[fault crash for")
                marked = await loadgen("mark", "rack 2 has no power", "--for", "1s", cwd=tmp_path)
                assert marked.process.returncode == 0
                await process.says("mark: rack 2 has no power")
                assert await process.end() == 0, process.stdout
        result = result_of(tmp_path)
        jsonschema.validate(result, RESULT_SCHEMA)
        crash, mark = result["faults"]
        steady = next(each for each in result["stages"] if each["name"] == "steady")["started_at_s"]
        assert 3.5 <= crash["injected_at"] - steady < 3.5 + LATE
        assert 0.4 <= crash["healing_at"] - crash["injected_done_at"] < 0.4 + LATE
        assert crash["injected_at"] < crash["healed_at"] < crash["recovered_at"] < crash["window"]["end"]
        assert (crash["window"]["closed_by"], crash["outcome"], crash["trouble"]) == (
            "recovery",
            "injected",
            [],
        )
        assert (crash["affected"], crash["not_back"]) == (6, 0)
        assert crash["outage"]["seconds"] >= 0.4
        assert crash["reconnect"]["count"] == 6
        assert crash["reconnect"]["max"] >= 0.4
        ledger = crash["ledger"]
        assert 0 < ledger["expected"] < result["ledger"]["expected"]
        assert (ledger["lost"], result["ledger"]["lost"]) == (0, 0)
        assert (mark["name"], mark["kind"], mark["nodes"]) == ("rack 2 has no power", "mark", [])
        assert mark["window"]["closed_by"] == "recovery"
        # Each client's loss is told once, with the fault or with the mark that came later.
        assert mark["affected"] == 0
        assert result["outages_outside_faults"]["count"] == 0
        phases = [event["phase"] for event in events_of(tmp_path, "fault") if event["fault"] == "crash"]
        assert phases[0] == "injecting"
        assert phases[-1] == "closed"
        assert {"injected", "healing", "healed"} < set(phases)
        assert len(events_of(tmp_path, "outage")) == 6
        assert "FAULTS" in process.stdout
        assert "The fleet around crash" in (tmp_path / "runs/latest/report.html").read_text()
        late = await loadgen("mark", "too late", cwd=tmp_path)
        assert late.process.returncode == 104
        assert "is no running run" in late.stderr[-1]

    asyncio.run(main())


def test_ctrl_c_during_a_fault_heals_it(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with mortal_broker(certs) as broker:
            write_scenario(tmp_path, certs, broker.port)
            arguments = [*PATIENT, *fault("steady", heal_after="end"), "--set", "stages.steady.hold=5m"]
            async with LoadgenProcess("run", "small.yaml", *arguments, cwd=tmp_path) as process:
                await process.says("[fault crash for")
                process.signal_group(signal.SIGINT)
                assert await process.end() == 105
                await process.says("fault crash: healed")
            assert broker.errors == []
        (crash,) = result_of(tmp_path)["faults"]
        assert crash["healed_at"] is not None
        assert crash["window"]["closed_by"] == "end"
        assert not [reason for reason in result_of(tmp_path)["reasons"] if "crash" in reason]

    asyncio.run(main())


def test_a_fault_that_was_never_injected_makes_the_run_invalid(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with mortal_broker(certs) as broker:
            write_scenario(tmp_path, certs, broker.port)
            arguments = [*PATIENT, *fault("drain+4s", heal_after="1s"), "--workers", "1"]
            process = await loadgen("run", "small.yaml", *arguments, cwd=tmp_path)
            assert process.process.returncode == 98
        result = result_of(tmp_path)
        jsonschema.validate(result, RESULT_SCHEMA)
        words = "fault crash was not injected: stage drain ended before drain+4s"
        assert words in result["reasons"]
        (crash,) = result["faults"]
        assert (crash["outcome"], crash["injected_at"]) == ("not reached", None)

    asyncio.run(main())


def test_a_command_that_fails_makes_the_run_invalid(tmp_path: Path, certs: Certs) -> None:
    async def main() -> None:
        async with mortal_broker(certs) as broker:
            write_scenario(tmp_path, certs, broker.port)
            arguments = [
                *PATIENT,
                *fault("steady+50ms", run="echo no such rack; exit 3", heal="true"),
                "--workers",
                "1",
            ]
            process = await loadgen("run", "small.yaml", *arguments, cwd=tmp_path)
            assert process.process.returncode == 98
        (reason, *_) = [each for each in result_of(tmp_path)["reasons"] if "crash" in each]
        assert reason.startswith("fault crash could not be injected: ")

    asyncio.run(main())
