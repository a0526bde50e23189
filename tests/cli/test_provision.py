from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from loadgen.cli.provision import provision, user_names
from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.scenario.load import load_scenario
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SCENARIO = """
name: t
target:
  uris: [mqtts://127.0.0.1]
  management: {{uris: ["{uri}"], username: admin, password: {{env: TEST_PASSWORD}}}}
identities:
  devices: {{issue: {{count: 3, common_name: "APM{{index:03d}}", out: {out}}}}}
  unused: {{issue: {{count: 2, common_name: "never{{index}}", out: {out}}}}}
groups:
  sensors:
    clients: 3
    identity: devices
    publish: {{topic: t, qos: 1, rate: 1/s}}
stages:
  - {{name: connect, connect: 10/s}}
  - {{name: steady, hold: 1s}}
"""


def write(tmp_path: Path, uri: str) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO.format(uri=uri, out=tmp_path / "certs"))
    return path


async def call(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(provision)
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "right")


def test_provision_dry_run_then_for_real_then_remove(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeManagementApi() as api:
            path = str(write(tmp_path, api.uri))
            dry = await call(path, "--dry-run")
            assert dry.stdout == "created 3, updated 0, unchanged 0 (dry run: nothing was changed)\n"
            assert set(api.users) == {"admin"}
            real = await call(path, "--output-format", "json")
            assert json.loads(real.stdout)["created"] == 3
            assert set(api.users) == {"admin", "APM000", "APM001", "APM002"}
            fewer = await call(path, "--set", "identities.devices.issue.count=3")
            assert fewer.stdout == "created 0, updated 0, unchanged 3\n"
            removed = await call(path, "--remove")
            assert removed.stdout == "removed 3 users\n"
            assert set(api.users) == {"admin"}

    asyncio.run(main())
    assert not (tmp_path / "certs").exists()  # names follow from the scenario, no certificate is needed


def test_a_foreign_user_is_a_warning(tmp_path: Path) -> None:
    async def main() -> Result:
        async with FakeManagementApi() as api:
            api.users["APM001"] = []
            api.permissions["APM001"] = {"configure": "", "write": "", "read": ""}
            return await call(str(write(tmp_path, api.uri)))

    result = asyncio.run(main())
    assert "APM001" in result.stderr
    assert result.stdout == "created 2, updated 0, unchanged 0\n"


def test_the_embedded_broker_needs_nothing(tmp_path: Path) -> None:
    result = asyncio.run(call(str(write(tmp_path, "http://127.0.0.1:1")), "--target", "embedded"))
    assert result.exit_code == 0
    assert "needs no users" in result.stdout


def test_a_target_without_management_says_what_to_write(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1")
    other = tmp_path / "target.yaml"
    other.write_text("uris: [mqtts://127.0.0.1]\n")
    result = asyncio.run(call(str(path), "--target", str(other)))
    assert isinstance(result.exception, ConfigError)
    assert "add management" in str(result.exception)


def test_names_of_a_directory_come_from_its_certificates(tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "certs").issue_clients([ClientRequest("one"), ClientRequest("two")])
    path = write(tmp_path, "http://127.0.0.1:1")
    issue = path.read_text().split("devices: ")[1].split("\n")[0]
    path.write_text(path.read_text().replace(issue, f"{{directory: {{path: {tmp_path / 'certs'}}}}}", 1))
    assert user_names(load_scenario(path)) == ["one", "two"]
