from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from loadgen.cli.certs import app
from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def certs(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == exit_code, done.output
    return done.stdout


def certs_json(*arguments: str, exit_code: int = 0) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(
        certs(*arguments, "--output-format", "json", exit_code=exit_code)
    )
    return results


def test_issue_by_flags_then_keep(tmp_path: Path) -> None:
    flags = ("issue", "--count", "3", "--cn", "dev{index}", "--san-dns", "d{index}.x", "--san-dns", "e")
    (first,) = certs_json(*flags, "--out", "o")
    assert (first["issued"], first["kept"], first["ca"]) == (3, 0, "o/ca_certificate.pem")
    assert first["identities"][2]["sans"] == {"dns": ["d2.x", "e"]}
    (second,) = certs_json(*flags, "--out", "o")
    assert (second["issued"], second["kept"]) == (0, 3)
    assert second["identities"] == first["identities"]
    assert (tmp_path / "o" / "client_dev2_key.pem").exists()


def test_issue_for_servers(tmp_path: Path) -> None:
    out = certs("issue", "--server", "rabbit1", "--dns", "localhost", "--ip", "127.0.0.1")
    assert out == "server rabbit1: certs/out/server_rabbit1_certificate.pem\n"
    (_ca, server) = certs_json("inspect", "certs/out")
    assert server["sans"] == {"dns": ["localhost"], "ip": ["127.0.0.1"]}
    assert server["usages"] == ["serverAuth"]


SCENARIO = """
name: small
target: {uris: [mqtts://127.0.0.1:8883]}
identities:
  devices: {issue: {count: 2, common_name: "APM{index:05d}", out: there}}
groups:
  sensors: {clients: 2, identity: devices, publish: {topic: "t/{index}", qos: 1, rate: 1/s}}
stages:
  - {name: connect, connect: 10/s}
  - {name: steady, hold: 1s}
"""


def test_issue_for_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    assert certs("issue", "s.yaml") == "set devices: 2 issued, 0 kept; CA there/ca_certificate.pem\n"
    changed = certs("issue", "s.yaml", "--set", "identities.devices.issue.count=3")
    assert changed == "set devices: 1 issued, 2 kept; CA there/ca_certificate.pem\n"
    certs("issue", "s.yaml", "--out", "elsewhere", "--server", "rabbit1")
    assert (tmp_path / "elsewhere" / "client_APM00001_certificate.pem").exists()
    assert (tmp_path / "elsewhere" / "server_rabbit1_certificate.pem").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["issue"], "nothing to issue"),
        (["issue", "s.yaml", "--count", "3"], "both a scenario and --count"),
        (["issue", "--count", "0"], "--count"),
        (["issue", "--count", "2", "--cn", "same"], r"\{index\}"),
        (["issue", "--cn", "a{foo}"], r"--cn: .*unknown field \{foo\}"),
        (["issue", "--cn", "a", "--valid-for", "3"], "--valid-for: .*write 3s"),
        (["issue", "--cn", "a", "--key", "dsa"], "--key"),
        (["issue", "--cn", "a", "--san-ip", "b"], "SAN ip 'b'"),
        (["issue", "--cn", "a", "--san-dns", "{"], "--san-dns"),
        (["inspect", "nothing"], "No such file"),
        (["issue", "--cn", "a", "--country", "Germany"], "country 'Germany' must be two letters"),
        (["issue", "--cn", "a", "--san-other-name", "x"], "OID=TEXT"),
        (["issue", "--cn", "a", "--not-after", "soon"], "--not-after: .*is not a date"),
        (["issue", "--cn", "a", "--not-after", "+1d", "--valid-for", "1d"], "both valid_for and not_after"),
        (["issue", "--cn", "a", "--extended-key-usage", "fun"], "--extended-key-usage"),
        (["issue", "--cn", "a", "--key-password-env", "X", "--key-password-file", "y"], "give one of them"),
        (["issue", "--cn", "a", "--key-password-env", "NOT_SET"], "NOT_SET holds no password"),
        (["sign", "nothing"], "nothing: No such file"),
        (["revoke", "nothing"], "No such file"),
        (["crl", "--valid-for", "7"], "--valid-for: .*write 7s"),
        (["export", "nothing"], "no password for the containers"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        certs(*arguments)


def test_inspect_shows_names_and_no_key(tmp_path: Path) -> None:
    certs("issue", "--cn", "dev1", "--san-uri", "urn:x")
    text = certs("inspect", "certs/out/client_dev1_certificate.pem")
    for part in ("O=client,CN=dev1", "uri urn:x", "clientAuth", "client_dev1_key.pem"):
        assert part in text
    secret = (tmp_path / "certs/out/client_dev1_key.pem").read_text().splitlines()[1]
    assert secret not in text
    assert "PRIVATE" not in text


def test_verify_finds_what_is_wrong(tmp_path: Path) -> None:
    certs("issue", "--count", "2", "--cn", "dev{index}", "--server", "rabbit1")
    assert all(line.startswith("ok") for line in certs("verify", "certs/out").splitlines())
    (tmp_path / "certs/out/client_dev0_key.pem").chmod(0o644)
    certs("verify", "certs/out")
    (tmp_path / "certs/out/client_dev1_key.pem").write_text("rubbish")
    results = certs_json("verify", "certs/out", exit_code=104)
    assert [result["ok"] for result in results] == [True, True, False, True]
    assert results[1]["problems"][0]["warning"] is True
    certs("issue", "--cn", "x", "--out", "other")
    certs(
        "verify", "certs/out/client_dev0_certificate.pem", "--ca", "other/ca_certificate.pem", exit_code=104
    )


def test_request_and_sign(tmp_path: Path) -> None:
    (made,) = certs_json(
        "request", "--cn", "dev1", "--san-email", "m@x", "--key", "ed25519", "--out", "device"
    )
    (signed,) = certs_json("sign", made["request"], "--ca", "ca", "--valid-for", "1d")
    assert signed["certificate"] == "device/client_dev1_certificate.pem"
    (seen,) = certs_json("inspect", signed["certificate"])
    assert (seen["sans"], seen["key_type"], seen["key"]) == ({"email": ["m@x"]}, "ed25519", made["key"])
    assert certs("verify", signed["certificate"], "--ca", "ca/ca_certificate.pem").startswith("ok")


def test_passwords_by_file_reach_key_ca_and_container(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    flags = ("--key-password-file", "word", "--ca-password-file", "word")
    (first,) = certs_json("issue", "--count", "2", "--cn", "dev{index}", *flags)
    assert first["issued"] == 2
    for name in ("ca_key.pem", "client_dev0_key.pem"):
        assert "ENCRYPTED" in (tmp_path / "certs/out" / name).read_text()
    (again,) = certs_json("issue", "--count", "2", "--cn", "dev{index}", *flags)
    assert again["kept"] == 2
    exported = certs_json("export", "certs/out", "--password-file", "word", "--key-password-file", "word")
    assert [one["container"] for one in exported] == [
        f"certs/out/client_dev{index}.p12" for index in range(2)
    ]
    assert (
        len(certs_json("revoke", "certs/out/client_dev0_certificate.pem", "--ca-password-file", "word")) == 1
    )
    (plain,) = certs_json("issue", "--count", "2", "--cn", "dev{index}", "--ca-password-file", "word")
    assert plain["issued"] == 2, "keys without a password are others"


def test_a_wrong_password_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "open sesame")
    certs("issue", "--cn", "dev1", "--ca-password-env", "WORD")
    monkeypatch.setenv("WORD", "closed simsim")
    with pytest.raises(ConfigError, match="password does not open") as caught:
        certs("issue", "--cn", "dev2", "--ca-password-env", "WORD")
    assert "simsim" not in str(caught.value)
