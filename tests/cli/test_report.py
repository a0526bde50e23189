"""`loadgen report` and its exports, on a run made by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from loadgen.cli import call
from tests.made_run import make_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return str(make_run(tmp_path / "runs"))


def test_several_exports_at_once(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    flags = (
        "--csv",
        out / "csv",
        "--hgrm",
        out / "hgrm",
        "--junit",
        out / "ci" / "junit.xml",
        "--svg",
        out / "charts",
    )
    assert call(["report", run, *map(str, flags), "--no-html", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"] == "fail"
    assert (out / "csv" / "timeline.csv").is_file()
    assert (out / "hgrm" / "publish_latency.hgrm").is_file()
    assert ET.parse(out / "ci" / "junit.xml").getroot().tag == "testsuites"
    assert (out / "charts" / "publish_latency.svg").is_file()
    written = [line.removeprefix("written: ") for line in told.err.splitlines()]
    assert sorted(written) == sorted(str(path) for path in out.rglob("*") if path.is_file())
    assert not (tmp_path / "runs" / "latest" / "report.html").exists()


def test_json_is_the_short_form_of_the_output_format(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["report", run, "--no-html", "--json"]) == 0
    short = capsys.readouterr().out
    assert call(["report", run, "--no-html", "--output-format", "json"]) == 0
    assert capsys.readouterr().out == short


def test_markdown_goes_to_stdout_and_to_the_jobs_summary(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert call(["report", run, "--no-html"]) == 0
    assert summary.read_text() == "# before\n"  # only who asks for Markdown gets it
    capsys.readouterr()
    assert call(["report", run, "--no-html", "--markdown"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("## ✗ FAIL: made\n")
    assert summary.read_text() == f"# before\n{told.out}\n"
    assert call(["report", run, "--no-html", "--markdown"]) == 0
    assert summary.read_text() == f"# before\n{told.out}\n"  # a run stands there once


def test_a_summary_that_cannot_be_written_ends_nothing(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert call(["report", run, "--no-html", "--markdown"]) == 0
    assert "warning: GITHUB_STEP_SUMMARY: cannot write" in capsys.readouterr().err


def test_two_forms_on_stdout_are_refused(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["report", run, "--json", "--markdown"]) == 104
    assert "ask for one of them" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--csv", "--hgrm", "--junit", "--svg", "--png"])
def test_a_place_that_cannot_be_written_is_named(
    flag: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert call(["report", run, "--no-html", flag, str(taken / "x")]) == 104
    assert f"{flag}: cannot write {taken}" in capsys.readouterr().err


def test_a_run_that_was_killed_can_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(make_run(tmp_path / "runs", killed=True))
    out = tmp_path / "out"
    flags = ("--csv", out / "csv", "--hgrm", out / "hgrm", "--junit", out / "junit.xml")
    assert call(["report", run, "--no-html", "--markdown", *map(str, flags)]) == 0
    assert capsys.readouterr().out.startswith("## ! INVALID: made")
    assert 'errors="1"' in (out / "junit.xml").read_text()
