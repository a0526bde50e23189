"""A run that is watched in every way at once: what the watchers saw is what its result says."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadgen.cli import call
from loadgen.metrics.catalog import HISTOGRAMS, METRICS
from tests.cli.conftest import certs, write_scenario
from tests.cli.run_process import PATIENCE_S, LoadgenProcess, result_of
from tests.fakes.tcp_broker import FakeBroker
from tests.live.otlp_receiver import OtlpReceiver, metrics_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs

__all__ = ["certs"]

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
LAX = ("--set", "generator.send_lag=10s", "--set", "generator.loop_lag=10s")


def sums(text: str) -> dict[str, float]:
    """Each series' name with its values added up over groups and stages; of histograms the counts."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def scrape_to_the_end(url: str) -> str:
    """Scrape until the verdict is told; each scrape must be readable."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(headers=OPENMETRICS) as session:
        while True:
            async with session.get(url) as answer:
                text = await answer.text()
            if "loadgen_verdict{" in text:
                return text
            assert sums(text)["loadgen_run_info"] == 1
            await asyncio.sleep(0.1)  # a scraper has an interval, too


async def last_state(page: str) -> dict[str, Any]:
    """What the live page shows when the run has ended."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{page}state?rows=0&seen=1") as answer:
                state: dict[str, Any] = await answer.json()
            if state["ended"]:
                return state
            await asyncio.sleep(0.1)  # as a browser does


def test_what_the_watchers_saw_is_what_the_result_says(tmp_path: Path, certs: Certs) -> None:
    async def main(receiver: OtlpReceiver) -> tuple[str, list[dict[str, Any]]]:
        write_scenario(tmp_path, certs, 1)
        arguments = ("run", "small.yaml", "--target", "embedded", "--workers", "2", "--no-report", *LAX)
        watching = (
            "--view",
            "json",
            "--prometheus-port",
            "0",
            "--prometheus-linger",
            "1m",
            "--otel",
            "--web",
            "0",
        )
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
        async with LoadgenProcess(*arguments, *watching, cwd=tmp_path, **told) as process:
            await process.says("live page: ")
            said = [json.loads(line)["text"] for line in process.stderr[:2]]
            url, page = said[0].removeprefix("metrics: "), said[1].removeprefix("live page: ")
            text = await scrape_to_the_end(url)
            state = await last_state(page)
            assert state["verdict"] == "pass"
            assert {each["verdict"] for each in state["thresholds"]} == {"pass"}
            assert sum(row["published"] for row in state["rows"]) > 0
            assert state["second"]["clients"]["planned"] == 6
            assert await process.end() == 0
            return text, [json.loads(line) for line in process.stderr]

    with OtlpReceiver() as receiver:
        text, lines = asyncio.run(main(receiver))
    result, found = result_of(tmp_path), sums(text)
    assert result["totals"]["published"] > 0
    for name in ("published", "acknowledged", "received"):
        assert found[f"loadgen_{name}_total"] == result["totals"][name]
    for name in ("bytes_sent", "bytes_received"):
        verb = name.removeprefix("bytes_")
        assert found[f"loadgen_{verb}_bytes_total"] == result["totals"][name]
    for name in (*HISTOGRAMS, "loop_lag"):
        metric = result["metrics"][name]
        assert found.get(f"loadgen_{name}_seconds_count", 0) == metric["count"], METRICS[name]
        if metric["count"]:
            whole = metric["mean"] * metric["count"]
            assert found[f"loadgen_{name}_seconds_sum"] == pytest.approx(whole, rel=1e-6)
    assert found["loadgen_connack_codes_total"] == sum(result["codes"]["connack"].values())
    assert 'loadgen_verdict{verdict="pass"} 1.0' in text
    assert f'loadgen_ledger_messages{{class="ok"}} {float(result["ledger"]["ok"])}' in text
    assert len(receiver.requests) > 1
    sent = metrics_of(receiver.requests[-1])
    published = [point.as_int or point.as_double for point in sent["loadgen.published"].sum.data_points]
    assert sum(published) == result["totals"]["published"]
    latencies = sent["loadgen.publish_latency"].histogram.data_points
    assert sum(point.count for point in latencies) == result["metrics"]["publish_latency"]["count"]
    kinds = [line["event"] for line in lines]
    assert set(kinds) == {"note", "second", "end"}
    assert kinds[-1] == "end"
    assert (lines[-1]["verdict"], lines[-1]["exit_code"]) == ("pass", 0)
    assert lines[-1]["path"] == str((tmp_path / "runs/latest").resolve())
    busiest = [line["clients"]["connected"] for line in lines if line["event"] == "second"]
    assert max(busiest) == 6


def test_a_taken_port_ends_the_run_before_anything_is_sent(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main(port: int) -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker:
            write_scenario(tmp_path, certs, broker.port)
            assert await asyncio.to_thread(call, ["run", "small.yaml", "--prometheus-port", str(port)]) == 104
            assert broker.accepted == 0

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(main(taken.getsockname()[1]))
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: --prometheus-port: cannot listen on 127.0.0.1 port ")
    assert not (tmp_path / "runs").exists()
    assert call(["run", "small.yaml", "--prometheus-linger", "5"]) == 104
    assert "--prometheus-linger: a duration needs a unit" in capsys.readouterr().err
