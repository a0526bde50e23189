"""`loadgen compare` as a command: what it prints, writes and ends with."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.cli import call
from tests.compare.runs import SCENARIO, Known
from tests.report.browser import CHROMIUM, browser

if TYPE_CHECKING:
    from pathlib import Path

TAG = "<script>alert(1)</script>"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    Known().write(tmp_path / "base")
    Known(seed=2).write(tmp_path / "same")
    Known(seed=3, latency_ms=24.0, result={"broker": {"kind": TAG}}).write(tmp_path / "slow")
    return tmp_path


def test_text_and_exit_codes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compare", "base", "same"]) == 0
    assert "NO REGRESSION (nothing worse" in capsys.readouterr().out.splitlines()[-1]
    assert call(["compare", "base", "slow"]) == 99
    out = capsys.readouterr().out
    assert "✗ publish_latency p50" in out
    assert out.splitlines()[-1].startswith("REGRESSION (")
    assert out.splitlines()[-1].endswith("exit code 99)")
    assert call(["compare", "base", "slow", "--tolerance", "50%"]) == 0


def test_the_command_of_the_readme(runs: Path) -> None:
    Known().write(runs / "runs" / "before")
    Known(seed=2).write(runs / "runs" / "after")
    assert call(["compare", "runs/before", "runs/after", "--html", "out.html"]) == 0
    assert (runs / "out.html").is_file()


def test_several_runs_on_each_side(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Known(seed=4).write(runs / "more")
    code = call(["compare", "base", "slow", "same", "--base", "more", "--output-format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code
    assert [each["run_id"] for each in found["base"]] == ["base", "more"]
    assert [each["run_id"] for each in found["run"]] == ["slow", "same"]
    assert {row["finding"] for row in found["rows"]} <= {
        "regression", "improvement", "same", "unclear", "shown",
    }  # fmt: skip


def test_markdown_goes_to_a_jobs_summary_too(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = runs / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert call(["compare", "base", "slow", "--markdown"]) == 99
    out = capsys.readouterr().out
    assert "**REGRESSION**" in out
    assert TAG not in out
    assert out in summary.read_text()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["base", "nothing"], "nothing does not exist"),
        (["base", "same", "--tolerance", "10"], '--tolerance: "10" is not a percentage'),
        (["base", "same", "--confidence", "10%"], "--confidence: 10% is out of range"),
        (["base"], "Missing argument"),
    ],
)
def test_bad_input(runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str) -> None:
    assert call(["compare", *arguments]) == 104
    assert what in capsys.readouterr().err


def test_what_cannot_be_compared_is_104(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Known(result={"verdict": "invalid"}).write(runs / "invalid")
    Known(scenario=SCENARIO | {"seed": 9}).write(runs / "other")
    assert call(["compare", "base", "invalid", "other"]) == 104
    first, second = capsys.readouterr().err.splitlines()
    assert "invalid: the run is INVALID" in first
    assert "seed: nothing / 9" in second


def test_a_run_whose_scenario_is_damaged(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "same" / "scenario.yaml").write_text("a: [")
    assert call(["compare", "base", "same"]) == 104
    assert "scenario.yaml cannot be read" in capsys.readouterr().err


def test_the_page_holds_everything_and_runs_no_text_of_a_run(runs: Path) -> None:
    assert call(["compare", "base", "slow", "--html", "page.html"]) == 99
    page = (runs / "page.html").read_text()
    assert TAG not in page
    assert "publish_latency p50" in page
    assert page.count('<svg class="interval"') >= 5
    assert len(page) < 2_000_000
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?!data:)', page), (
        "nothing is fetched"
    )


def test_a_page_that_cannot_be_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["compare", "base", "same", "--html", "no/such/page.html"]) == 104
    assert "No such file" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_every_chart_is_drawn_without_a_word_in_the_console(runs: Path) -> None:
    async def main() -> tuple[list[dict[str, Any]], list[str]]:
        async with browser(runs / "profile") as opened:
            tab = await opened.open(runs / "page.html")
            return await tab.figures(), tab.console

    assert call(["compare", "base", "slow", "--html", "page.html"]) == 99
    drawn, console = asyncio.run(main())
    assert console == []
    assert [each["title"] for each in drawn] == ["Publish latency by percentile", "Publish latency over time"]
    assert all(each["drawn"] and each["said"] for each in drawn)
