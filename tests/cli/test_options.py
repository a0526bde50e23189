"""What all verbs have in common: formats, environment twins, colours, stdout for results alone."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from loadgen.cli import app, call
from tests.cli.conftest import write_scenario
from tests.cli.run_process import REPOSITORY, loadgen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Certs


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from commands(one, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def test_the_verbs() -> None:
    assert {path[0] for path in ALL} >= {
        "run", "plan", "report", "provision", "schema", "doctor", "certs", "cluster",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_reads_well(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)
    assert call([*path, "--help"]) == 0
    told = capsys.readouterr()
    assert f"Usage: loadgen {' '.join(path)} " in told.out
    assert told.err == ""
    for option in ALL[path].params:
        assert getattr(option, "help", None), f"{option.name} has no help"
        for flag in option.opts:
            if flag.startswith("--") and flag != "--help":
                assert f"LOADGEN_{'_'.join(path)}_{option.name}".upper() in told.out.replace("\n", "")


def test_flags_come_from_the_environment(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenario(tmp_path, certs, 1)
    monkeypatch.setenv("LOADGEN_PLAN_OVERRIDES", "groups.publishers.clients=3 seed=7")
    monkeypatch.setenv("LOADGEN_PLAN_TARGET", "embedded")
    monkeypatch.setenv("LOADGEN_PLAN_WORKERS", "2")
    monkeypatch.setenv("LOADGEN_PLAN_OUTPUT_FORMAT", "json")
    assert call(["plan", "small.yaml"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert (numbers["clients"], numbers["seed"], numbers["workers"]) == (5, 7, 2)
    assert list(numbers["clients_per_node"]) == ["embedded"]
    assert call(["plan", "small.yaml", "--workers", "1"]) == 0  # the flag wins
    assert json.loads(capsys.readouterr().out)["workers"] == 1
    monkeypatch.setenv("LOADGEN_PLAN_WORKERS", "many")
    assert call(["plan", "small.yaml"]) == 104


def test_version_and_a_variable_of_that_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADGEN_VERSION", "0.1.0")
    assert call(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"
    assert call(["--version"]) == 0
    assert capsys.readouterr().out.count(".") == 2


def test_results_on_stdout_and_the_rest_on_stderr(tmp_path: Path, certs: Certs) -> None:
    write_scenario(tmp_path, certs, 1)

    async def main() -> None:
        patient = ["--set", "generator.send_lag=10s", "--set", "generator.loop_lag=10s"]
        arguments = ["run", "small.yaml", "--target", "embedded", *patient, "--no-report"]
        run = await loadgen(*arguments, "--output-format", "json", cwd=tmp_path)
        result = json.loads(run.stdout)
        assert result["exit_code"] == run.process.returncode == 0, result["reasons"]
        folder = (tmp_path / "runs/latest").resolve()
        assert run.stderr[-1] == f"run: {folder}"
        assert not (folder / "report.html").exists()
        assert any(line.startswith("stage steady") for line in run.stderr)
        report = await loadgen("report", cwd=tmp_path)
        assert report.stderr == []
        assert report.stdout.splitlines()[-1] == f"report: {folder}/report.html"
        assert (folder / "report.html").exists()

    asyncio.run(main())


def on_a_terminal(*arguments: str, cwd: Path, **environment: str) -> str:
    """What a command writes to a terminal that is both its stdout and stderr."""
    ours, theirs = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", *arguments],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm", **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        told = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                told += chunk
        except OSError:  # Linux: the terminal's other end is gone
            pass
        process.wait(60)
    os.close(ours)
    return told.decode()


def test_colours_on_a_terminal_and_none_with_no_color(tmp_path: Path, certs: Certs) -> None:
    write_scenario(tmp_path, certs, 1)
    arguments = ["run", "small.yaml", "--target", "embedded", "--no-report"]
    run = on_a_terminal(*arguments, cwd=tmp_path, NO_COLOR="1")
    assert "connected" in run.partition("THRESHOLDS")[0]  # the panel
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", run)
    panel, verdict, results = run.partition("VERDICT")
    assert verdict
    assert "\x1b[" in panel
    assert "\x1b[" not in results
    assert "\x1b[1m" in on_a_terminal("report", cwd=tmp_path)
