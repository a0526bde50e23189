from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from loadgen.cli import call
from tests.cli.conftest import write_scenario
from tests.fakes.management_api import FakeManagementApi
from tests.fakes.tcp_broker import FakeBroker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Certs


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_PASSWORD", "right")


class Doctor:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Run it, and give its checks by name."""
        assert call(["doctor", *arguments, "--output-format", "json"]) == code
        checks: dict[str, list[dict[str, Any]]] = {}
        for check in json.loads(self._capsys.readouterr().out):
            checks.setdefault(check["name"], []).append(check)
        return checks


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys)


def test_this_machine(doctor: Doctor) -> None:
    checks = doctor()
    assert set(checks) == {
        "loadgen", "python", "openssl", "cores", "open files", "local ports", "memory", "clock", "timers",
    }  # fmt: skip
    assert all(check["state"] != "problem" for found in checks.values() for check in found)
    assert "TLS 1.2 and 1.3" in checks["openssl"][0]["found"]


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["doctor"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.startswith("✓ loadgen ")


def test_few_descriptors_are_a_warning(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    (check,) = doctor()["open files"]
    assert check["state"] == "warning"
    assert "192 clients a worker" in check["found"]
    assert "ulimit" in check["mend"]


def test_a_wrong_scenario_is_told_with_every_problem(tmp_path: Path, certs: Certs, doctor: Doctor) -> None:
    path = write_scenario(tmp_path, certs, 1)
    path.write_text(path.read_text().replace("clients: 4", "clients: x").replace("hold: 500ms", "hold: 5"))
    checks = doctor("small.yaml", code=104)
    assert [check["found"].split(": ")[0] for check in checks["scenario"]] == [
        "small.yaml:9",
        "small.yaml:20",
    ]


def test_embedded_target_needs_nothing(tmp_path: Path, certs: Certs, doctor: Doctor) -> None:
    write_scenario(tmp_path, certs, 1)
    assert "embedded" in doctor("small.yaml", "--target", "embedded")["target"][0]["found"]


def test_a_target_that_is_fine_and_one_that_is_not(tmp_path: Path, certs: Certs, doctor: Doctor) -> None:
    async def main() -> None:
        async with FakeBroker(ssl=certs.server_context()) as broker, FakeManagementApi() as api:
            write_scenario(tmp_path, certs, broker.port)
            access = f'{{uris: ["{api.uri}"], username: admin, password: {{env: TEST_PASSWORD}}}}'
            api.users |= {f"dev{n}": [] for n in range(4)}
            api.permissions |= {f"dev{n}": {"configure": "", "write": "", "read": ""} for n in range(4)}
            arguments = ["small.yaml", "--set", f"target.management={access}"]
            checks = await asyncio.to_thread(doctor, *arguments)
            assert "took 'dev0' as MQTT 5 client" in checks["node"][0]["found"]
            assert "RabbitMQ 4.3.6" in checks["management"][0]["found"]
            assert "all 4 are there" in checks["users"][0]["found"]

            del api.users["dev2"]
            broker.refuse = 0x86
            checks = await asyncio.to_thread(doctor, *arguments, code=106)
            assert "1 of 4 users are missing, such as 'dev2'" in checks["users"][0]["found"]
            assert "loadgen provision small.yaml" in checks["users"][0]["mend"]
            assert "refuses client 'dev0' with 0x86" in checks["node"][0]["found"]

    asyncio.run(main())


def test_no_management_is_a_warning_and_nobody_listening_a_problem(
    tmp_path: Path, certs: Certs, doctor: Doctor
) -> None:
    write_scenario(tmp_path, certs, 1)
    checks = doctor("small.yaml", code=106)
    assert checks["management"][0]["state"] == "warning"
    (node,) = checks["node"]
    assert node["state"] == "problem"
    assert "127.0.0.1:1: connection refused" in node["found"]
