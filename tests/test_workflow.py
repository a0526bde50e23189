"""The workflow that is shipped, and docs/ci.md: their commands are commands, their files are there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml

from loadgen.cli import app
from loadgen.metrics.catalog import THRESHOLD_METRICS, THRESHOLD_SELECTORS
from loadgen.scenario.load import load_scenario
from tests.test_readme import fenced

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
FILE = ROOT / ".github/workflows/nightly-soak.yml"
DOC = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["soak"]["steps"]


def scripts() -> dict[str, str]:
    return {step["name"]: step["run"] for step in STEPS if "run" in step}


def commands(script: str) -> Iterator[list[str]]:
    """The `loadgen` commands of a shell script, in words; variables stand for themselves."""
    for line in script.replace("\\\n", " ").splitlines():
        if line.strip().startswith("loadgen "):
            yield shlex.split(re.split(r" \|\|? ", line)[0], comments=True)[1:]


def all_commands() -> list[list[str]]:
    texts = [*scripts().values(), *fenced(DOC, "sh")]
    return [words for text in texts for words in commands(text)]


def parse(words: list[str]) -> None:
    """Parse a command line as loadgen does, without doing it."""
    command: Any = typer.main.get_command(app)  # a group, or what it resolves to
    context = command.make_context("loadgen", list(words))
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, list(words), parent=context)


def test_there_are_commands() -> None:
    assert {words[0] for words in all_commands()} >= {"run", "provision", "report", "certs", "compare"}


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_every_command_is_one_that_loadgen_takes(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parse(words)


@pytest.mark.parametrize("words", [["run"], ["run", "scenarios/soak.yaml", "--forever"], ["runn"]])
def test_a_command_that_is_none_would_be_found(words: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        parse(words)


def test_every_file_that_is_named_is_there() -> None:
    texts = [*scripts().values(), DOC]
    named = {
        name for text in texts for name in re.findall(r"[\w./-]*\w/[\w-]+\.ya?ml|docker-compose\.yml", text)
    }
    named.discard("workflows/nightly-soak.yml")
    assert {"scenarios/soak.yaml", "docker/target.yaml", "docker-compose.yml"} <= named
    missing = [name for name in named if not (ROOT / name.removeprefix("../")).is_file()]
    assert not missing
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for node in ("rmq1", "rmq2", "rmq3"):
        assert node in services
        assert node in scripts()["Start the cluster"]


def test_the_overrides_fit_the_scenario() -> None:
    overrides = [
        [words[k + 1] for k, word in enumerate(words) if word == "--set"]
        for words in all_commands()
        if words[0] == "run"
    ]
    hold = WORKFLOW[True]["workflow_dispatch"]["inputs"]["hold"]["default"]  # YAML 1.1 reads `on` as true
    assert any(overrides)
    for each in overrides:
        scenario = load_scenario(
            ROOT / "scenarios/soak.yaml",
            overrides=[override.replace("$HOLD", hold) for override in each],
            target=ROOT / "docker/target.yaml",
            metrics=THRESHOLD_METRICS,
            selectors=THRESHOLD_SELECTORS,
        )
        assert scenario.warnings == ()


def test_it_may_do_little_and_ends_in_time() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read", "actions": "read"}
    (job,) = WORKFLOW["jobs"].values()
    assert "permissions" not in job
    soak = next(step for step in STEPS if step.get("name") == "Soak")
    assert 240 < soak["timeout-minutes"] < job["timeout-minutes"] <= 360, "a hosted job ends after six hours"
    for uses in (step["uses"] for step in STEPS if "uses" in step):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", uses)
    # What a job's user may type goes through the environment, not into the script.
    assert not any("${{" in script for script in scripts().values())


def test_no_step_can_make_a_red_soak_green() -> None:
    assert not any(step.get("continue-on-error") for step in STEPS)
    assert "||" not in scripts()["Soak"]
    assert "if" not in next(step for step in STEPS if step.get("name") == "Soak")


@pytest.mark.parametrize("name", scripts())
def test_the_scripts_are_bash(name: str) -> None:
    done = subprocess.run(["bash", "-n"], input=scripts()[name], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", str(FILE)], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `gh` of our own: it lists `LAST` and can download only run 5."""
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(
        '#!/bin/sh\nif [ "$2" = list ]; then echo "$LAST"; exit; fi\n'
        '[ "$3" = 5 ] && mkdir -p "$7" && echo "{}" > "$7/result.json"\n'
    )
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gh.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return tmp_path


@pytest.mark.parametrize(("last", "found"), [("", False), ("4", False), ("5", True)])
def test_the_last_good_run_is_fetched_if_there_is_one(
    stage: Path, monkeypatch: pytest.MonkeyPatch, last: str, *, found: bool
) -> None:
    monkeypatch.setenv("LAST", last)
    script = scripts()["Fetch the last good run"]
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=stage, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (stage / "last-good/result.json").is_file() == found
    assert (stage / "summary").exists() != found
    names = [step["with"]["name"] for step in STEPS if step.get("uses", "").startswith("actions/upload")]
    assert f"--name {names[0]} " in script
    assert f"--workflow {FILE.name} " in script


@pytest.mark.parametrize(("code", "red"), [(0, False), (99, True), (104, False), (107, True)])
def test_a_regression_is_red_and_a_changed_scenario_is_not(stage: Path, code: int, *, red: bool) -> None:
    ours = stage / "bin/loadgen"
    ours.write_text(f"#!/bin/sh\nexit {code}\n")
    ours.chmod(0o755)
    script = scripts()["Compare with it"]
    done = subprocess.run(["bash", "-e", "-c", script], cwd=stage, capture_output=True, check=False)
    assert (done.returncode != 0) == red
