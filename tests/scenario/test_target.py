from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from loadgen.errors import ConfigError
from loadgen.scenario.secret import Secret
from loadgen.scenario.target import Management, Target

if TYPE_CHECKING:
    from pathlib import Path


def secret(**reference: str) -> Secret:
    return Secret.model_validate(reference)


def test_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_TEST_PASSWORD", "open sesame")
    reference = secret(env="LOADGEN_TEST_PASSWORD")
    assert reference.reveal() == "open sesame"
    assert "sesame" not in repr(reference) + str(reference.model_dump())
    monkeypatch.delenv("LOADGEN_TEST_PASSWORD")
    with pytest.raises(ConfigError, match="LOADGEN_TEST_PASSWORD"):
        reference.reveal()


def test_secret_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b" spaces stay \r\n")
    assert secret(file=str(path)).reveal() == " spaces stay "
    path.write_bytes(b"\n")
    with pytest.raises(ConfigError, match="is empty"):
        secret(file=str(path)).reveal()
    path.write_bytes(b"\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        secret(file=str(path)).reveal()
    with pytest.raises(ConfigError, match="No such file"):
        secret(file=str(tmp_path / "none")).reveal()


def test_a_literal_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Management.model_validate({"uris": ["http://h:15672"], "username": "u", "password": "hunter2"})
    (error,) = caught.value.errors()
    assert error["loc"] == ("password",)
    assert "hunter2" not in error["msg"] + str(error["ctx"])


def test_a_secret_that_is_asked_for_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = secret(prompt="Password of the broker")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(ConfigError, match="no terminal to ask on: Password of the broker"):
        reference.reveal()
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "" if len(asked) == 1 else "open sesame"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", answer)
    before = set(os.environ)
    with pytest.raises(ConfigError, match="no password was given"):
        reference.reveal()
    assert reference.reveal() == reference.reveal() == secret(prompt=reference.prompt or "").reveal()
    assert asked == ["Password of the broker: "] * 2
    assert "sesame" not in repr(reference) + str(reference.model_dump())
    (kept,) = set(os.environ) - before
    monkeypatch.delenv(kept)


@pytest.mark.parametrize("reference", [{}, {"env": "A", "file": "b"}, {"env": "A", "prompt": "b"}])
def test_a_secret_is_one_reference(reference: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        secret(**reference)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ({}, "no node to connect to"),
        ({"kind": "embedded", "uris": ["mqtts://h"]}, "chooses its own address"),
        ({"uris": ["mqtts://h", "mqtts://h:8883"]}, "names a node twice"),
        ({"uris": ["mqtts://h"], "tls": {"versions": []}}, "at least 1 item"),
        ({"uris": ["mqtts://h"], "tls": {"versions": [1.3]}}, "a TLS version is text"),
        ({"uris": ["mqtts://h"], "timeouts": {"tcp": "0s"}}, "longer than 0"),
        ({"uris": ["mqtts://h"], "login_from": "moon"}, "common_name"),
        ({"uris": ["mqtts://h"], "login_from": "common_name", "login": {}}, "both login and login_from"),
        ({"uris": ["mqtts://h"], "login": {"san_type": "uri"}}, "have no use with common_name"),
        ({"uris": ["mqtts://h"], "client_id_from": "common_name"}, "distinguished_name"),
    ],
)
def test_refused(target: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Target.model_validate(target)


def test_defaults() -> None:
    target = Target.model_validate({"uris": ["mqtts://h"]})
    assert (target.kind, target.spread) == ("rabbitmq", "round-robin")
    assert (target.login.from_, target.login.vhost, target.client_id_from) == ("common_name", "/", None)
    assert target.timeouts.connack == 70_000_000_000
    assert target.tls.versions == ("1.2", "1.3")
    assert target.management is None
    assert Target.model_validate({"kind": "embedded"}).uris == ()


@pytest.mark.parametrize(
    "login", [{"login_from": "subject_alternative_name"}, {"login": "subject_alternative_name"}]
)
def test_short_forms_of_login(login: dict[str, str]) -> None:
    client_id = {"from": "subject_alternative_name", "san_index": 1}
    target = Target.model_validate({"uris": ["mqtts://h"], **login, "client_id_from": client_id})
    assert (target.login.from_, target.login.san_type) == ("subject_alternative_name", "dns")
    assert target.client_id_from is not None
    assert (target.client_id_from.san_type, target.client_id_from.san_index) == ("dns", 1)
    assert Target.model_validate(target.model_dump(mode="json", by_alias=True)) == target


def test_management_uris_lose_the_slash() -> None:
    management = Management.model_validate(
        {"uris": ["http://h:15672/"], "username": "u", "password": {"env": "X"}}
    )
    assert management.uris == ("http://h:15672",)
