"""A run from file to verdict, through the command line, in this process."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from loadgen.broker.management import Management, ManagementError
from loadgen.cli import call
from loadgen.plan.needs import Machine
from loadgen.report.schema import RESULT_SCHEMA
from loadgen.run import default_workers
from loadgen.store import open_run
from tests.cli.conftest import certs, write_scenario
from tests.cli.run_process import LoadgenProcess, result_of
from tests.fakes.management_api import FakeManagementApi
from tests.fakes.tcp_broker import FakeBroker
from tests.test_histogram_log import read_log, total

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs

__all__ = ["certs"]


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "right")


def management(uri: str) -> str:
    return f'target.management={{uris: ["{uri}"], username: admin, password: {{env: TEST_PASSWORD}}}}'


@pytest.mark.parametrize(
    ("clients", "workers"),
    [(1, 1), (99, 1), (100, 2), (5_000, 2), (39_872, 2), (39_873, 3), (50_006, 3)],
)
def test_as_many_workers_as_there_are_cores_or_as_hold_the_sockets(clients: int, workers: int) -> None:
    machine = Machine(cores=2, descriptors=20_000, ports=28_000, memory=1 << 40)
    assert default_workers(clients, machine) == workers


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_whole_run(tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], workers: str) -> None:
    write_scenario(tmp_path, certs, 1)
    arguments = ["--target", "embedded", "--workers", workers, "--set", "generator.send_lag=10s"]
    assert call(["run", "small.yaml", *arguments, "--set", "generator.loop_lag=10s"]) == 0
    folder = tmp_path / "runs/latest"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"report: {folder.resolve()}/report.html"
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    jsonschema.validate(result, RESULT_SCHEMA, format_checker=jsonschema.FormatChecker())
    assert result["verdict"] == "pass"
    assert result["totals"]["delivered"] == result["totals"]["expected_deliveries"] > 0
    assert {path.name for path in folder.iterdir()} == {
        "scenario.yaml", "plan.json", "snapshots.jsonl", "events.jsonl", "brokers.jsonl", "result.json",
        "histograms.hlog", "report.html",
    }  # fmt: skip
    log = read_log(folder / "histograms.hlog")
    metrics = {name: metric for name, metric in result["metrics"].items() if metric["count"]}
    assert set(log) == set(metrics)
    for name, metric in metrics.items():
        whole = total(log[name])
        assert whole.get_total_count() == metric["count"]
        for key, percent in (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0), ("p99_9", 99.9)):
            # Ours never says more than the exact maximum, theirs gives the end of the bucket it is in.
            theirs = min(whole.get_value_at_percentile(percent), round(metric["max"] * 1e9))
            assert theirs == round(metric[key] * 1e9)
    (node,) = open_run(folder).broker_samples()[0].nodes
    assert node.running
    assert node.footprint is not None
    assert node.footprint > 1_000_000
    # The run as saved is the run as made.
    assert call(["plan", str(folder / "scenario.yaml")]) == 0


def test_missing_users_are_found_before_any_client_is_refused(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker, FakeManagementApi() as api:
            write_scenario(tmp_path, certs, broker.port)
            arguments = ["run", "small.yaml", "--set", management(api.uri)]
            assert await asyncio.to_thread(call, arguments) == 106
            assert broker.accepted == 0

    asyncio.run(main())
    (error,) = capsys.readouterr().err.splitlines()
    assert error == (
        "error: small.yaml:5: identities: 4 of 4 users are unknown or have no permissions: "
        "dev0, dev1, dev2 … (run `loadgen provision small.yaml`)"
    )


def test_wrong_password_of_the_management_api(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with FakeManagementApi(password="another") as api:
            write_scenario(tmp_path, certs, 1)
            arguments = ["run", "small.yaml", "--set", management(api.uri)]
            assert await asyncio.to_thread(call, arguments) == 106

    asyncio.run(main())
    (error,) = capsys.readouterr().err.splitlines()
    assert "HTTP 401" in error
    assert "check target.management: the user 'admin' must exist, its password must be right" in error
    assert "right:" not in error


def test_a_monitoring_user_may_not_list_users_and_the_run_goes_on(
    tmp_path: Path, certs: Certs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def users(_: Management) -> None:
        raise ManagementError("HTTP 401", status=401)

    monkeypatch.setattr(Management, "users", users)

    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker, FakeManagementApi() as api:
            write_scenario(tmp_path, certs, broker.port)
            arguments = ["run", "small.yaml", "--set", management(api.uri), "--set", "stages.drain.drain=1s"]
            await asyncio.to_thread(call, [*arguments, "--workers", "1", "--view", "quiet"])
            assert len(broker.connects) == 7

    monkeypatch.setattr("loadgen.view_check._LIMIT", 0.5)
    asyncio.run(main())
    assert any("were not looked up" in warning for warning in result_of(tmp_path)["warnings"])


def test_the_brokers_are_sampled_while_it_runs_and_need_not_answer(
    tmp_path: Path, certs: Certs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadgen.view_check._LIMIT", 0.2)
    monkeypatch.setattr("loadgen.broker.sampling.LIMIT_S", 0.2)

    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker, FakeManagementApi() as api:
            api.users |= {f"dev{n}": [] for n in range(4)}
            api.permissions |= {f"dev{n}": {"configure": "", "write": "", "read": ""} for n in range(4)}
            api.nodes = [{"name": "a@b", "running": True, "mem_used": 500}]
            api.stuck_paths = {"/api/nodes": 2}
            write_scenario(tmp_path, certs, broker.port)
            arguments = ["run", "small.yaml", "--set", management(api.uri), "--set", "stages.drain.drain=1s"]
            arguments += ["--set", "target.management.sample_every=100ms", "--workers", "1", "--no-report"]
            await asyncio.to_thread(call, [*arguments, "--view", "quiet"])

    asyncio.run(main())
    run = open_run(tmp_path / "runs/latest")
    samples = run.broker_samples()
    assert [sample.answered for sample in samples[:4]] == [True, True, False, True]
    assert samples[3].nodes[0].memory == 500
    assert samples[2].nodes[0].name == "a@b"
    origin = min(snapshot.start_ns for snapshot in run.snapshots())
    assert abs(samples[0].ns - origin) < 1e9, "the clock of the snapshots"


def test_ctrl_c_while_only_the_brokers_view_is_waited_for(tmp_path: Path, certs: Certs) -> None:
    """The API never lists the clients, so the look at its view takes half a minute unless interrupted."""

    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker, FakeManagementApi() as api:
            api.users |= {f"dev{n}": [] for n in range(4)}
            api.permissions |= {f"dev{n}": {"configure": "", "write": "", "read": ""} for n in range(4)}
            write_scenario(tmp_path, certs, broker.port)
            arguments = ["run", "small.yaml", "--view", "plain", "--set", management(api.uri)]
            async with LoadgenProcess(*arguments, cwd=tmp_path) as process:
                # The drain has nothing to wait for: the first second that belongs to it is after its end.
                await process.says("  drain  connected=6/6", times=2)
                process.signal_group(signal.SIGINT)
                async with asyncio.timeout(20):
                    assert await process.end() == 105
        result = result_of(tmp_path)
        assert result["broker"]["view"] is None
        assert result["ledger"]["lost"] == 0

    asyncio.run(main())
