"""Every command of README.md is run here, or named here with the test that runs it; links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jsonschema
import pytest
import yaml

from loadgen.cli import call
from loadgen.errors import ExitCode
from loadgen.identity.authority import Authority
from tests.conftest import report_connections_each_second

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("certs/*.md"), *ROOT.glob("benchmarks/*.md")]
)

ELSEWHERE = {
    "make test": "tests/test_readme.py::test_make_does_what_the_readme_says",  # the gate runs it whole
    "make install": "tests/test_readme.py::test_make_does_what_the_readme_says",
    ". .venv/bin/activate": "tests/test_readme.py::test_make_does_what_the_readme_says",
    "loadgen cluster install": "tests/broker/test_cluster.py::test_a_root_made_from_debians_packages_serves",
    "loadgen cluster down": "tests/conftest.py::rabbitmq_factory",
    "loadgen compare runs/before runs/after --html out.html": (
        "tests/compare/test_command.py::test_the_command_of_the_readme"
    ),
    "docker compose up -d": "tests/broker/conftest.py::compose_cluster",
    "docker compose down -v": "tests/broker/conftest.py::compose_cluster",
    "loadgen provision scenarios/rabbitmq-smoke.yaml --target docker/target.yaml": (
        "tests/broker/test_compose.py::test_a_run_against_the_containers_passes"
    ),
    "loadgen run scenarios/rabbitmq-smoke.yaml --target docker/target.yaml": (
        "tests/broker/test_compose.py::test_a_run_against_the_containers_passes"
    ),
}
"""Command → where it is run, when that is not by its line in this file."""

# What is shown here is that the commands work, not that a machine which runs tests besides keeps up.
PATIENT = [
    *("--set", "generator.send_lag=5s"),
    *("--set", "generator.loop_lag=5s"),
    *("--set", "thresholds={messages_lost: [count == 0]}"),
]
QUICK = [
    *("--set", "stages.connect.connect=200/s"),
    *("--set", "stages.steady.hold=1s"),
    *("--view", "quiet"),
    *PATIENT,
]
QUICKSTART = [*QUICK, "--set", "stages.warm-up.hold=200ms"]
SMOKE = [*QUICKSTART, "--set", "stages.peak.hold=1s", "--no-report"]


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in fenced(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


class Told(NamedTuple):
    out: str
    err: str


class Shell:
    """A clean clone to type commands into."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in ("Makefile", "pyproject.toml", "scenarios", "docker", "loadgen"):
            (folder / name).symlink_to(ROOT / name)
        monkeypatch.chdir(folder)
        self.export("NO_COLOR", "1")
        self.export("TERM", "dumb")
        # Inside `make test` a second make would take over the first one's flags.
        for name in [name for name in os.environ if name.startswith(("MAKE", "MFLAGS"))]:
            monkeypatch.delenv(name)

    def export(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def type(self, command: str, *more: str, expect: int = 0) -> str:
        """Run a line of the README with some options more; gives standard output."""
        before, _, output = command.partition(" > ")
        words = [*shlex.split(before), *more]
        if words[0] == "export":
            self.export(*words[1].split("=", 1))
            return ""
        if words[0] == "loadgen":
            # In this process: a hundred modules need not be imported for each line.
            code = call(words[1:])
            told = Told(*self._capsys.readouterr())
        else:
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
            code, told = done.returncode, Told(done.stdout, done.stderr)
        assert code == expect, f"{command}\n{told.out}{told.err}"
        if output:
            (self.folder / output).write_text(told.out, encoding="utf-8")
        return told.out


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


def result(shell: Shell) -> dict[str, object]:
    read: dict[str, object] = json.loads((shell.folder / "runs/latest/result.json").read_text())
    return read


def test_every_command_is_run_somewhere() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for command in commands(README):
        if command in ELSEWHERE:
            file, _, name = ELSEWHERE[command].partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), command
        else:
            assert source.count(f'"{command}"') == 1, f"no test here runs: {command}"
    assert set(commands(README)) >= ELSEWHERE.keys(), "named here and no longer in the README"


def test_make_does_what_the_readme_says(shell: Shell) -> None:
    installs = shell.type("make --dry-run install")
    assert "-m venv .venv" in installs
    assert ".venv/bin/pip install" in installs
    tests = shell.type("make --dry-run test")
    assert [name for name in ("ruff check", "mypy", "pytest") if f".venv/bin/{name}" not in tests] == []
    assert ".venv/bin/pytest" in tests.rstrip().splitlines()[-1]


def test_quickstart(shell: Shell) -> None:
    last = shell.type("make quickstart", "--dry-run").rstrip().splitlines()[-1]
    assert last.startswith(".venv/bin/loadgen run ")
    said = shell.type(last.removeprefix(".venv/bin/"), *QUICKSTART)
    found = result(shell)
    assert (found["verdict"], found["exit_code"]) == ("pass", 0)
    totals = found["totals"]
    assert isinstance(totals, dict)
    assert totals["published"] == totals["delivered"] > 0
    report = Path(said.rstrip().splitlines()[-1].removeprefix("report: "))
    assert (shell.folder / report).stat().st_size > 10_000


def test_step_by_step(shell: Shell) -> None:
    shell.type("loadgen doctor")
    assert "100 on" in shell.type("loadgen plan scenarios/quickstart.yaml")
    assert not (shell.folder / "runs").exists()
    shell.type("loadgen run scenarios/quickstart.yaml", *QUICKSTART)
    (shell.folder / "runs/latest/report.html").unlink()
    assert "PASS" in shell.type("loadgen report runs/latest")
    assert (shell.folder / "runs/latest/report.html").exists()
    assert json.loads(shell.type("loadgen report runs/latest --output-format json")) == result(shell)
    shell.type("loadgen report runs/latest --markdown --junit out/junit.xml --csv out/csv --hgrm out/hgrm")
    assert {each.name for each in (shell.folder / "out").iterdir()} == {"junit.xml", "csv", "hgrm"}
    shell.type("loadgen schema > scenario.schema.json")
    schema = json.loads((shell.folder / "scenario.schema.json").read_text())
    jsonschema.validate(yaml.safe_load((ROOT / "scenarios/quickstart.yaml").read_text()), schema)
    # Every file of a run that the README names is there.
    for name in re.findall(r"`([a-z.]+\.(?:html|json|yaml|jsonl|hlog))`", section("Results")):
        assert (shell.folder / "runs/latest" / name).exists(), name


def test_the_scenario_on_top_runs(shell: Shell) -> None:
    scenario = fenced(README, "yaml")[0]
    assert len(scenario.splitlines()) <= 10
    (shell.folder / "sensors.yaml").write_text(scenario, encoding="utf-8")
    shell.type(
        "loadgen run sensors.yaml --set groups.sensors.publish.rate=2/s --set stages.steady.hold=10s",
        *QUICK,
        "--no-report",
    )
    assert result(shell)["verdict"] == "pass"


def test_an_own_cluster_is_planned_for(shell: Shell) -> None:
    (shell.folder / "staging.yaml").write_text(fenced(section("Against your own cluster"), "yaml")[0])
    authority = Authority.ensure(shell.folder / "their-ca")
    (shell.folder / "staging-ca.pem").write_bytes(authority.certificate.read_bytes())
    shell.export("RABBITMQ_PASSWORD", "for-this-test-only")
    said = shell.type("loadgen plan scenarios/rabbitmq-smoke.yaml --target staging.yaml")
    assert "100 first on mqtts://mq2.example.com:8883" in said


def test_the_containers_certificate_and_target(shell: Shell) -> None:
    shell.type("loadgen certs issue --server rabbitmq --dns localhost --ip 127.0.0.1")
    assert (shell.folder / "certs/out/server_rabbitmq_key.pem").exists()
    shell.type("export RABBITMQ_PASSWORD=choose-one")
    said = shell.type("loadgen plan scenarios/rabbitmq-smoke.yaml", "--target", "docker/target.yaml")
    assert "100 first on mqtts://127.0.0.1:8885" in said


@pytest.mark.rabbitmq
def test_three_nodes_on_this_machine(shell: Shell, rabbitmq_cluster: LocalCluster) -> None:
    # Another three nodes would take half a minute to start: what is typed here meets the session's.
    (shell.folder / ".loadgen").mkdir()
    (shell.folder / ".loadgen/cluster").symlink_to(rabbitmq_cluster.directory)
    (shell.folder / "certs").mkdir()
    (shell.folder / "certs/out").symlink_to(rabbitmq_cluster.certs)
    first = rabbitmq_cluster.status()[0]
    ports = ["--mqtt-port", str(first.mqtt_port), "--management-port", str(first.management_port)]
    target = "--target .loadgen/cluster/target.yaml"
    shell.type("loadgen cluster up", *ports, "--release", "4.3")
    report_connections_each_second(rabbitmq_cluster)  # "up" wrote the files anew
    shell.type(f"loadgen deprovision scenarios/rabbitmq-smoke.yaml {target}")
    shell.type(f"loadgen run scenarios/rabbitmq-smoke.yaml {target}", *SMOKE, expect=ExitCode.UNREACHABLE)
    shell.type("loadgen provision scenarios/rabbitmq-smoke.yaml --target .loadgen/cluster/target.yaml")
    shell.type("loadgen doctor scenarios/rabbitmq-smoke.yaml --target .loadgen/cluster/target.yaml")
    shell.type("loadgen run scenarios/rabbitmq-smoke.yaml --target .loadgen/cluster/target.yaml", *SMOKE)
    found = result(shell)
    assert found["verdict"] == "pass", found["reasons"]
    broker = found["broker"]
    assert isinstance(broker, dict)
    assert broker["view"]["ok"] == broker["view"]["checked"] == 300
    assert set(broker["view"]["by_node"].values()) == {100}
    try:
        shell.type("loadgen cluster kill rabbit2")
        shell.type("loadgen cluster status", expect=ExitCode.UNREACHABLE)
    finally:
        shell.type("loadgen cluster start rabbit2")


def test_the_exit_codes_are_all_there() -> None:
    listed = re.findall(r"^\| (\d+) \|", section("Results"), re.MULTILINE)
    assert [int(code) for code in listed] == [int(code) for code in ExitCode]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}, link


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/report.png").stat().st_size <= 150_000


def test_the_commands_of_contributing_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        words = shlex.split(command)
        if "make" in words:
            assert f"\n{words[-1]}:" in makefile, command
        elif words[0] == "pytest" and not words[1].startswith("-"):
            assert (ROOT / words[1]).exists(), command
        else:
            assert words[0] in {"pytest", "ruff"} or "loadgen" in words, command
    assert shutil.which("make")
