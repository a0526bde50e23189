"""Recognisable secrets go in wherever one can, and are looked for in all that comes out."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from loadgen.cli import call
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.pkcs12 import export
from tests.cli.run_process import LoadgenProcess, loadgen, result_of
from tests.fakes.management_api import FakeManagementApi
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cli.conftest import Certs

SECRETS = {
    "MANAGEMENT": "planted-management-Vq7",
    "KEYS": "planted-keys-Vq7",
    "CA": "planted-ca-Vq7",
    "CONTAINER": "planted-container-Vq7",
    "GROUP": "planted-group-Vq7",
    "COMMAND": "planted-command-Vq7",
    "UNRELATED": "planted-unrelated-Vq7",
}
ENVIRONMENT = ("MANAGEMENT", "CONTAINER", "GROUP", "COMMAND", "UNRELATED")
"""Those that come as environment variables; the last one is asked for by nobody."""
MARK = "Vq7"
"""In each of them, and in nothing else."""
KEY = "PRIVATE KEY"


def write_scenario(folder: Path, certs: Certs, port: int, management: str) -> Path:
    """Clients with encrypted keys, under a CA with an encrypted key, and from a container."""
    (folder / "ca-password").write_text(SECRETS["CA"] + "\n")
    (folder / "keys-password").write_text(SECRETS["KEYS"] + "\n")
    (made,) = certs.authority.into(folder / "made").issue_clients([ClientRequest("contained")])
    export(made.certificate, made.key, folder / "p12" / "contained.p12", SECRETS["CONTAINER"], None)
    document = {
        "name": "secret",
        "target": {
            "uris": [f"mqtts://127.0.0.1:{port}"],
            "tls": {"ca": str(certs.ca)},
            "management": {
                "uris": [management],
                "username": "admin",
                "password": {"env": "MANAGEMENT"},
            },
        },
        "identities": {
            "devices": {
                "issue": {
                    "count": 60,
                    "common_name": "d{index}",
                    "out": str(folder / "certs"),
                    "key_password": {"file": str(folder / "keys-password")},
                    "ca_password": {"file": str(folder / "ca-password")},
                }
            },
            "contained": {"pkcs12": {"path": str(folder / "p12"), "password": {"env": "CONTAINER"}}},
        },
        "groups": {
            "devices": {
                "clients": 60,
                "identity": "devices",
                "username": "device",
                "password": {"env": "GROUP"},
                "publish": {"topic": "t/{index}", "qos": 1, "rate": "2/s"},
            },
            "contained": {"clients": 1, "identity": "contained"},
        },
        "stages": [{"name": "connect", "connect": "200/s"}, {"name": "steady", "hold": "2s"}],
        "certificates": [{"at": "steady+200ms", "renew": "devices", "spread": "1s"}],
        # A command that uses a secret of its own environment, and one that fails with it at hand.
        "faults": [
            {"at": "steady+300ms", "name": "used", "run": 'test -n "$COMMAND"'},
            {"at": "steady+600ms", "name": "failed", "run": 'test -z "$COMMAND"'},
        ],
        "generator": {"send_lag": "5s", "loop_lag": "5s"},
    }
    path = folder / "secret.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def processes_below(pid: int) -> Iterable[int]:
    """A process, its children, theirs, and so on."""
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from processes_below(int(child))


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def command_lines(process: LoadgenProcess, seen: dict[int, str]) -> None:
    """Keep looking at the command lines of a command and of all that it starts."""
    while process.process.returncode is None:
        for pid in processes_below(process.process.pid):
            with contextlib.suppress(OSError):
                seen[pid] = seen.get(pid, "") + command_line(pid)
        await asyncio.sleep(0.02)


def test_no_secret_is_in_reports_run_folder_output_or_argv(tmp_path: Path, certs: Certs) -> None:
    seen: dict[int, str] = {}

    async def scenario() -> list[LoadgenProcess]:
        # Another CA for this set, which the broker trusts as well.
        ca_password = tmp_path / "ca-password"
        ca_password.write_text(SECRETS["CA"])

        class Password:
            def reveal(self) -> str:
                return SECRETS["CA"]

        own = Authority.ensure(tmp_path / "certs", password=Password())
        tls = certs.server_context()
        tls.load_verify_locations(own.certificate)
        async with (
            FakeBroker(ssl=tls, unmatched_code=0) as broker,
            FakeManagementApi(password=SECRETS["MANAGEMENT"]) as api,
        ):
            path = str(write_scenario(tmp_path, certs, broker.port, api.uri))
            environment = {name: SECRETS[name] for name in ENVIRONMENT}
            planned = await loadgen("plan", path, cwd=tmp_path, **environment)
            dry = await loadgen("provision", path, "--dry-run", cwd=tmp_path, **environment)
            made = await loadgen("provision", path, cwd=tmp_path, **environment)
            # The broker's own list of its clients is not what this is about.
            api.connections = []
            arguments = ("run", path, "--workers", "2", "--set", "target.management=null")
            job = {"GITHUB_STEP_SUMMARY": str(tmp_path / "run-summary.md")}
            async with LoadgenProcess(*arguments, cwd=tmp_path, **environment, **job) as ran:
                await asyncio.gather(ran.end(), command_lines(ran, seen))
            exported = await loadgen(
                *("report", "runs/latest", "--markdown", "--csv", "out/csv", "--hgrm", "out/hgrm"),
                *("--junit", "out/junit.xml", "--svg", "out/svg"),
                cwd=tmp_path,
                GITHUB_STEP_SUMMARY=str(tmp_path / "out-summary.md"),
                **environment,
            )
            wrong = {**environment, "MANAGEMENT": "planted-wrong-Vq7"}
            refused = await loadgen("run", path, cwd=tmp_path, **wrong)
            return [planned, dry, made, ran, exported, refused]

    done = asyncio.run(scenario())
    planned, dry, made, ran, exported, refused = (each.process.returncode for each in done)
    assert (planned, dry, made, ran, exported) == (0, 0, 0, 98, 0), [each.stderr[-5:] for each in done]
    assert refused not in (0, None)
    (row,) = result_of(tmp_path)["certificate_steps"]
    assert row["reconnected"] == 60
    assert "create" in done[1].stdout
    for each in done:
        text = each.stdout + "\n".join(each.stderr)
        assert MARK not in text
        assert KEY not in text
    assert len([line for line in seen.values() if "worker_main" in line]) == 2
    assert MARK not in "".join(seen.values())
    # The second command failed, so the run is invalid, and says why.
    assert [fault["outcome"] for fault in result_of(tmp_path)["faults"]] == ["injected", "failed"]
    assert (tmp_path / "run-summary.md").read_text().startswith("## ! INVALID: secret\n")
    assert (tmp_path / "out-summary.md").read_text() == (tmp_path / "run-summary.md").read_text()
    assert {path.suffix for path in (tmp_path / "out").rglob("*")} >= {".csv", ".hgrm", ".xml", ".svg"}
    files = [path for folder in ("runs", "out") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    files += [tmp_path / "out-summary.md", tmp_path / "run-summary.md"]
    assert {path.name for path in files} >= {"scenario.yaml", "plan.json", "result.json", "report.html"}
    for path in files:
        content = path.read_bytes()
        assert MARK.encode() not in content, path
        assert KEY.encode() not in content, path
    keys = [*(tmp_path / "certs").glob("*_key.pem"), *(tmp_path / "p12").rglob("*key*")]
    assert len(keys) >= 61
    for path in (*keys, *(tmp_path / "p12").glob("*.p12")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert all(b"ENCRYPTED" in path.read_bytes() for path in (tmp_path / "certs").glob("*_key.pem"))


def written(folder: Path, change: dict[str, Any]) -> str:
    """A scenario file with keys changed, each named by its path; gives the file's."""
    document: dict[str, Any] = {
        "name": "secret",
        "target": {
            "uris": ["mqtts://127.0.0.1:1"],
            "tls": {"ca": "ca.pem"},
            "management": {"uris": ["http://127.0.0.1:1"], "username": "a", "password": {"env": "NOBODY"}},
        },
        "identities": {"devices": {"issue": {"count": 1, "common_name": "d", "out": str(folder)}}},
        "groups": {"devices": {"clients": 1, "identity": "devices"}},
        "stages": [{"name": "connect", "connect": "1/s"}],
    }
    for path, value in change.items():
        *above, last = path.split(".")
        place = document
        for key in above:
            place = place[key]
        place[last] = value
    file = folder / "secret.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


ADDRESSES = (
    "mqtts://me:{}@host:8883",
    "mqtts://{}@host",
    "mqtts://me:{}@host:99999",
    "mqtt://me:{}@host",
    "me:{}@host",
    "mqtts://me:{}@[host",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("key", ["target.uris", "target.management.uris"])
@pytest.mark.parametrize("form", ["one", "list", "set"])
def test_a_password_in_an_address_is_refused_and_not_repeated(
    address: str, key: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = address.format("planted-address-Vq7")
    change: dict[str, Any] = {} if form == "set" else {key: secret if form == "one" else [secret]}
    more = ["--set", f"{key}=['{secret}']"] if form == "set" else []
    assert call(["plan", written(tmp_path, change), *more]) == 104
    told = capsys.readouterr()
    if form != "one":
        assert "an address holds no user name or password (remove the part before the @)" in told.err
    assert MARK not in told.out + told.err


PASSWORDS = (
    "target.management.password",
    "groups.devices.password",
    "identities.devices.issue.key_password",
    "identities.devices.issue.ca_password",
)


@pytest.mark.parametrize("value", ["planted-Vq7", ["planted-Vq7"], {"value": "planted-Vq7"}])
@pytest.mark.parametrize("key", PASSWORDS)
def test_a_password_in_the_file_is_refused_and_not_repeated(
    key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["plan", written(tmp_path, {key: value})]) == 104
    told = capsys.readouterr()
    assert key in told.err
    assert MARK not in told.out + told.err
    if isinstance(value, str):
        assert call(["plan", written(tmp_path, {}), "--set", f"{key}={value}"]) == 104
        told = capsys.readouterr()
        assert MARK not in told.out + told.err
