from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from loadgen.plan.expectation import expectation
from loadgen.scenario.groups import Group

if TYPE_CHECKING:
    from tests.scenario.conftest import Complain


def group(expect: object) -> Group:
    return Group.model_validate({"clients": 1, "identity": "devices", "expect": expect})


@pytest.mark.parametrize(
    ("written", "words", "refused"),
    [
        ("accepted", "accepted", False),
        ("closed", "closed", True),
        ("tls_alert", "TLS alert any", True),
        ({"connack": 0x86}, "CONNACK 0x86", True),
        ({"connack": "0x86"}, "CONNACK 0x86", True),
        ({"suback": 135}, "SUBACK 0x87", True),
        ({"disconnect": 0x8E}, "DISCONNECT 0x8E", True),
        ({"closed": "instead_of_connack"}, "closed instead of CONNACK", True),
        ({"tls_alert": "unknown_ca", "connack": 0x86}, "TLS alert unknown_ca or CONNACK 0x86", True),
    ],
)
def test_answers_and_their_short_forms(written: object, words: str, *, refused: bool) -> None:
    made = group(written)
    assert made.expect is not None
    expected = expectation(made.expect)
    assert (str(expected), expected.refused, expected.within) == (words, refused, 10_000_000_000)
    assert made.refused is refused
    assert Group.model_validate(made.model_dump(mode="json", exclude_none=True)) == made


def test_any_alert_is_every_alert_and_nothing_else() -> None:
    expect = group("tls_alert").expect
    assert expect is not None
    expected = expectation(expect)
    assert expected.met_by("TLS alert unknown_ca")
    assert not expected.met_by("closed instead of CONNACK")


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("refused", "is no answer of a broker"),
        ({"connack": 0}, "no reason code of a refusal"),
        ({"connack": "refused"}, "no reason code of a refusal"),
        ({"connack": True}, "no reason code of a refusal"),
        ({"within": "1s"}, "names no answer"),
        ({"accepted": True, "connack": 0x86}, "accepted and refused"),
        ({"tls_alert": "sad"}, "Input should be"),
        ({"closed": "maybe"}, "Input should be"),
    ],
)
def test_slips(written: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        group(written)


def test_clients_without_a_certificate(base: dict[str, Any], complain: Complain) -> None:
    base["groups"]["dashboards"] |= {"identity": "none", "client_id": "{group}-{index}"}
    assert complain(base) == []
    base["groups"]["dashboards"]["client_id"] = "{cn}-{index}"
    (line,) = complain(base)
    assert "groups.dashboards.client_id: clients without a certificate have no {cn} (write for" in line
    base["identities"]["none"] = base["identities"]["devices"]
    said = complain(base)
    assert any(
        'identities.none: "none" stands for no certificate, and cannot name a set' in it for it in said
    )


def test_one_client_id_twice_is_for_a_takeover_only(base: dict[str, Any], complain: Complain) -> None:
    base["groups"]["dashboards"]["client_id"] = "{cn}"
    assert any("have the same id" in line for line in complain(base))
    base["groups"]["dashboards"]["expect"] = {"disconnect": 0x8E}
    assert complain(base) == []
    base["groups"]["dashboards"] |= {"client_id": "same"}
    assert any("clients 0 and 1 have the same id" in line for line in complain(base))


def test_half_a_login_is_worth_a_word(base: dict[str, Any], complain: Complain) -> None:
    base["groups"]["dashboards"]["username"] = "somebody"
    (line,) = complain(base)
    assert line.startswith("warning: ")
    assert "RabbitMQ refuses a client with a username and no password" in line
    base["groups"]["dashboards"]["expect"] = {"connack": 0x86}
    assert complain(base) == []
    base["groups"]["dashboards"]["password"] = "literal"
    assert "a password does not belong in the scenario file" in complain(base)[0]
