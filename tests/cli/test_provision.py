from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from loadgen.broker.provision import Permissions, TopicPermissions
from loadgen.cli.provision import deprovision, provision
from loadgen.errors import ConfigError
from loadgen.grants import grants_of
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.scenario.load import load_scenario
from tests.fakes.management_api import FakeManagementApi

if TYPE_CHECKING:
    from collections.abc import Callable
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


async def call(*arguments: str, command: Callable[..., None] = provision) -> Result:
    app = typer.Typer()
    app.command()(command)
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "right")


def test_provision_dry_run_then_for_real_then_deprovision(tmp_path: Path) -> None:
    async def main() -> None:
        async with FakeManagementApi() as api:
            path = str(write(tmp_path, api.uri))
            dry = await call(path, "--dry-run")
            lines = dry.stdout.splitlines()
            assert lines[-1] == "created 3, updated 0, unchanged 0 (dry run: nothing was changed)"
            assert lines[0].startswith("create 'APM000' in /: configure '', write '^amq")
            assert set(api.users) == {"admin"}
            real = await call(path, "--output-format", "json")
            assert json.loads(real.stdout)["created"] == 3
            assert set(api.users) == {"admin", "APM000", "APM001", "APM002"}
            fewer = await call(path, "--set", "identities.devices.issue.count=3")
            assert fewer.stdout == "created 0, updated 0, unchanged 3\n"
            look = await call(path, "--dry-run", command=deprovision)
            assert look.stdout.splitlines()[0] == "remove 'APM000'"
            assert "APM000" in api.users
            removed = await call(path, command=deprovision)
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
    two = load_scenario(path, overrides=["groups.sensors.clients=2"])
    assert [grant.user for grant in grants_of(two)] == ["one", "two"]


def test_certificates_without_the_name_of_the_user_are_an_error_with_a_mend(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1")
    login = "target.login={from: subject_alternative_name, san_type: uri}"
    with pytest.raises(ConfigError, match="no certificate has a SAN uri 0"):
        grants_of(load_scenario(path, overrides=[login]))


def test_grants_are_as_narrow_as_what_each_identity_does(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1")
    more = (
        "groups.watch={clients: 1, identity: devices, client_id: 'w{index}', "
        "subscribe: {filter: 't/+', qos: 0}, will: {topic: 'gone/{cn}', delay: 5s}}"
    )
    first, second, _ = grants_of(load_scenario(path, overrides=[more]), topics=True)
    queue = "mqtt-subscription-w0qos[01]"
    assert second.permissions == Permissions("", r"^amq\.topic$", "")
    assert second.topics == TopicPermissions("^t$", "")
    assert first.permissions == Permissions(
        rf"^({queue}|mqtt-will-w0)$",
        rf"^(amq\.topic|amq\.default|{queue})$",
        rf"^(amq\.topic|{queue}|mqtt-will-w0)$",
    )
    assert first.topics == TopicPermissions(r"^(gone\.{username}|t)$", r"^t\.\*$")


def test_groups_may_ask_for_less_and_the_most_counts_where_they_share_a_user(tmp_path: Path) -> None:
    path = write(tmp_path, "http://127.0.0.1:1")
    issue = f"{{issue: {{count: 1, common_name: '{{set}}', out: {tmp_path / 'certs'}}}}}"
    wishes = {"a": "no_topics", "b": "no_permissions", "c": "no_user", "d": "no_user", "e": "as_used"}
    changes = [f"identities.set-{name}={issue}" for name in "abcd"]
    for name, wish in wishes.items():
        of_set = f"set-{'d' if name == 'e' else name}"
        more = "username: u, password: {env: X}," if name == "c" else ""
        changes.append(
            f"groups.{name}={{clients: 1, identity: {of_set}, client_id: {name}, provision: {wish}, {more} "
            "publish: {topic: t, qos: 1, rate: 1/s}}"
        )
    changes.append("groups.nobody={clients: 1, identity: none, client_id: n, expect: tls_alert}")
    grants = {grant.user: grant for grant in grants_of(load_scenario(path, overrides=changes))}
    publishes = Permissions("", r"^amq\.topic$", "")
    assert (grants["set-a"].permissions, grants["set-a"].topics) == (publishes, TopicPermissions("", ""))
    assert grants["set-b"].permissions is None
    assert "set-c" not in grants
    assert grants["set-d"].permissions == publishes
    assert "u" not in grants
