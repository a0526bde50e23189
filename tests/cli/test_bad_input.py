"""What a human can get wrong in files and flags: one line each that names file, line and mend."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from loadgen.cli import call
from loadgen.identity.authority import Authority, ClientRequest
from tests.cli.conftest import SCENARIO, write_scenario
from tests.cli.run_process import loadgen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def errors_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> list[str]:
    """Run a command that must end with `code`, and give the lines it wrote about that."""
    assert call(list(arguments)) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    return [line for line in told.err.splitlines() if line.startswith("error: ")]


PLACE = "error: small.yaml:"


@pytest.mark.parametrize(
    ("written", "instead", "line", "parts"),
    [
        ("clients: 4", "clients: 4\n    keep_alve: 30s", 10, ["publishers.keep_alve", '"keep_alive"?']),
        ("hold: 500ms", "hold: 500", 20, ["hold", "a duration needs a unit", "write 500s"]),
        ("clients: 4", "clients: many", 9, ["groups.publishers.clients", '"many"']),
        ("identity: devices\n    publish", "identity: nobody\n    publish", 10, ["nobody", "known: devices"]),
        (
            "    identity: devices\n    publish",
            "    publish",
            8,
            ["groups.publishers", '"identity" is missing'],
        ),
        ('client_id: "sub{{index}}"', 'client_id: "dev{{index}}"', 15, ["client_id", 'the same id "dev0"']),
        ('client_id: "sub{{index}}"', 'client_id: "sub{{indx}}"', 15, ["unknown field {indx}", '"index"?']),
        (
            "stages:",
            "thresholds: {{publish_latncy: [p99 < 1s]}}\nstages:",
            17,
            ['unknown metric "publish_latncy"', '"publish_latency"?'],
        ),
        ("stages:", "thresholds: {{publish_latency: [p99 < 1]}}\nstages:", 17, ["needs a unit", "write 1s"]),
        ("qos: 1, rate", "qos: 2, rate", 11, ["publish.qos", "RabbitMQ", "write qos: 1"]),
    ],
)
def test_mistakes_in_the_scenario(  # noqa: PLR0917
    tmp_path: Path,
    certs: Certs,
    capsys: pytest.CaptureFixture[str],
    written: str,
    instead: str,
    line: int,
    parts: list[str],
) -> None:
    assert SCENARIO.count(written) == 1
    text = SCENARIO.replace(written, instead).format(port=1, ca=certs.ca, out=certs.folder)
    (tmp_path / "small.yaml").write_text(text)
    for verb in ("run", "plan"):
        (error,) = errors_of(capsys, verb, "small.yaml", code=104)
        assert error.startswith(f"{PLACE}{line}: ")
        assert error.endswith(")")  # the mend
        for part in parts:
            assert part in error


def test_files_that_are_no_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.yaml").write_text("name: x\nstages: [\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.yaml").write_text("- a\n")
    for name in ("missing.yaml", "folder", "broken.yaml", "binary.yaml", "list.yaml"):
        (error,) = errors_of(capsys, "run", name, code=104)
        assert name in error
    (error,) = errors_of(capsys, "run", "broken.yaml", code=104)
    assert "broken.yaml:" in error


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run"], "'SCENARIO'"),
        (["run", "small.yaml", "--no-such-flag"], "--no-such-flag"),
        (["run", "small.yaml", "--workers", "0"], "--workers"),
        (["run", "small.yaml", "--workers", "two"], "--workers"),
        (["run", "small.yaml", "--output-format", "xml"], "--output-format"),
        (["rum", "small.yaml"], "rum"),
        (["run", "small.yaml", "--set", "nonsense"], "--set nonsense"),
        (["run", "small.yaml", "--set", "groups.publishers.clients=-1"], "--set groups.publishers.clients"),
        (["run", "small.yaml", "--target", "missing.yaml"], "missing.yaml"),
    ],
)
def test_flags_that_are_wrong(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    write_scenario(tmp_path, certs, 1)
    (error,) = errors_of(capsys, *arguments, code=104)
    assert part in error


def test_ca_file_that_cannot_be_used(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario(tmp_path, certs, 1)
    (error,) = errors_of(capsys, "run", "small.yaml", "--set", "target.tls.ca=gone.pem", code=104)
    assert error.startswith("error: --set target.tls.ca: gone.pem: ")
    path = tmp_path / "small.yaml"
    path.write_text(path.read_text().replace(str(certs.ca), "gone.pem"))
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert error.startswith(
        "error: small.yaml:4: target.tls.ca: gone.pem: CA file cannot be read: No such file"
    )
    assert error.endswith("(name the broker's ca_certificate.pem as tls.ca)")
    (tmp_path / "gone.pem").write_text("no PEM")
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert "no CA certificate in PEM form" in error


def test_management_that_cannot_be_used(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    path = write_scenario(tmp_path, certs, 1)
    management = (
        '\n  management: {uris: ["http://127.0.0.1:1"], username: u, password: {env: NO_SUCH_PASSWORD}}'
    )
    tls = f"  tls: {{ca: {certs.ca}}}"
    path.write_text(path.read_text().replace(tls, tls + management))
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert error.startswith("error: small.yaml:5: target.management.password: ")
    assert "NO_SUCH_PASSWORD holds no password (export NO_SUCH_PASSWORD=" in error
    monkeypatch.setenv("NO_SUCH_PASSWORD", "secret")
    (error,) = errors_of(capsys, "run", "small.yaml", code=106)
    assert "the management API does not answer: http://127.0.0.1:1" in error
    assert "secret" not in error


def own_certificates(folder: Path, *, valid_for_s: int = 3600) -> Authority:
    authority = Authority.ensure(folder)
    requests = [ClientRequest(f"dev{n}", valid_for_s=valid_for_s) for n in range(4)]
    authority.issue_clients(requests)
    return authority


def scenario_of_directory(tmp_path: Path, certs: Certs, folder: str) -> None:
    path = write_scenario(tmp_path, certs, 1)
    lines = path.read_text().splitlines(keepends=True)
    lines[5] = f"  devices: {{directory: {{path: {folder}}}}}\n"
    path.write_text("".join(lines))


def test_certificates_that_cannot_be_used(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario_of_directory(tmp_path, certs, "mine")
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert "mine" in error
    own_certificates(tmp_path / "mine")
    key = tmp_path / "mine/client_dev1_key.pem"
    right = key.read_bytes()
    key.write_bytes((tmp_path / "mine/client_dev2_key.pem").read_bytes())
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert "mine/client_dev1_key.pem: the key is not that of client_dev1_certificate.pem (" in error
    key.write_bytes(right)
    key.unlink()
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert "client_dev1" in error


def test_expired_certificates(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario_of_directory(tmp_path, certs, "mine")
    own_certificates(tmp_path / "mine", valid_for_s=1)
    later = time.time() + 7200
    monkeypatch.setattr("time.time", lambda: later)
    (error,) = errors_of(capsys, "run", "small.yaml", code=104)
    assert "client_dev0_certificate.pem: the certificate expired on" in error
    assert "and 3 more like it" in error


def test_a_key_that_all_may_read_is_a_warning(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario_of_directory(tmp_path, certs, "mine")
    own_certificates(tmp_path / "mine")
    key = tmp_path / "mine/client_dev0_key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    assert call(["plan", "small.yaml"]) == 0
    told = capsys.readouterr()
    assert (
        "warning: mine/client_dev0_key.pem: the private key is open to everyone (mode 644) (chmod 600 it)"
        in told.err
    )
    assert "clients    6" in told.out


def test_a_connect_beyond_what_rabbitmq_takes_names_group_and_line(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scenario(tmp_path, certs, 1)
    written = "clients: 2\n"
    assert written in path.read_text()
    long = f'{written}    user_properties: [[note, "{"x" * 65_000}"], [site, "{{cn}}{"y" * 600}"]]\n'
    path.write_text(path.read_text().replace(written, long))
    told = errors_of(capsys, "plan", "small.yaml", code=104)
    assert len(told) == 2, "one for each client"
    assert told[0].startswith("error: small.yaml:12: groups.subscribers[0]: CONNECT has 65,6")
    assert "takes 65,536 before the login" in told[0]
    assert "fewer user properties" in told[0]


def test_too_few_descriptors(tmp_path: Path, certs: Certs) -> None:
    write_scenario(tmp_path, certs, 1)
    more = ["--set", "identities.devices.issue.count=200", "--set", "groups.publishers.clients=200"]

    async def main() -> None:
        told = await loadgen(
            "run", "small.yaml", *more, "--workers", "1", cwd=tmp_path, shell_prefix="ulimit -n 128"
        )
        assert told.process.returncode == 104
        (error,) = [line for line in told.stderr if line.startswith("error: ")]
        assert "only 128 are allowed" in error
        assert "ulimit -n" in error

    asyncio.run(main())


def test_runs_folder_that_cannot_be_written(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    # A file in the way stops root as well, which a mode does not.
    (tmp_path / "taken").write_text("")
    write_scenario(tmp_path, certs, 1)
    for runs in ("taken", "taken/below"):
        arguments = ["run", "small.yaml", "--target", "embedded", "--runs", runs]
        (error,) = errors_of(capsys, *arguments, code=104)
        assert f"cannot write the run's folder in {runs}: " in error
        assert "--runs" in error


def test_report_on_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (error,) = errors_of(capsys, "report", code=104)
    assert error.startswith("error: runs/latest does not exist (name the folder")
    (tmp_path / "empty").mkdir()
    (error,) = errors_of(capsys, "report", "empty", code=104)
    assert "empty is no run's folder" in error
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/latest").symlink_to("removed")
    (error,) = errors_of(capsys, "report", code=104)
    assert "points to removed, which is not there any more" in error


def test_a_bug_of_ours_is_one_line(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("not meant to happen")

    write_scenario(tmp_path, certs, 1)
    monkeypatch.setattr(sys.modules["loadgen.cli.plan"], "read_scenario", broken)
    assert call(["plan", "small.yaml"]) == 107
    assert capsys.readouterr().err == (
        "internal error: RuntimeError: not meant to happen (a bug; LOADGEN_DEBUG=1 shows where)\n"
    )


def test_whoever_reads_our_output_may_go_away(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "loadgen", "schema"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_address_of_another_machine(
    tmp_path: Path, certs: Certs, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario(tmp_path, certs, 1)
    setting = "target.source_addresses=[127.0.1.1, 192.0.2.1]"
    (error,) = errors_of(capsys, "run", "small.yaml", "--set", setting, code=104)
    assert error.startswith("error: --set target.source_addresses: cannot connect from 192.0.2.1: ")
    assert "ip addr add 192.0.2.1/32 dev lo" in error
