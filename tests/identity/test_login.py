"""RabbitMQ's rule; tests/broker/test_login_rule.py holds the same against a real one."""

from __future__ import annotations

import pytest

from loadgen.identity.identity import NO_CERTIFICATE, Identity
from loadgen.identity.login import (
    COMMON_NAME,
    DISTINGUISHED_NAME,
    SAN,
    LoginRule,
    Prediction,
    Source,
    UnusableNameError,
    certificate_name,
    predict,
    user_name,
)


def identity(cn: str = "dev1", /, **sans: tuple[str, ...]) -> Identity:
    return Identity("x", cn, "0A", "client", sans, f"O=client,CN={cn}", 0.0, 1.0, "c", "k")


def san(kind: str, index: int = 0) -> Source:
    return Source(SAN, kind, index)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Source(COMMON_NAME), b"dev1"),
        (Source(DISTINGUISHED_NAME), b"O=client,CN=dev1"),
        (san("dns"), b"d0"),
        (san("dns", 1), b"d1"),
        (san("dns", 2), None),
        (san("email"), None),
        (san("ip"), b"\x0a\x00\x00\x01"),
        (san("uri"), b"urn:dev:9"),
        (san("other_name"), "zwölf".encode()),
    ],
)
def test_the_bytes_that_the_broker_takes(source: Source, name: bytes | None) -> None:
    one = identity(dns=("d0", "d1"), ip=("10.0.0.1",), uri=("urn:dev:9",), other_name=("1.2.3=zwölf",))
    assert certificate_name(one, source) == name


def test_no_certificate_has_no_name() -> None:
    for source in (Source(COMMON_NAME), Source(DISTINGUISHED_NAME), san("dns")):
        assert certificate_name(NO_CERTIFICATE, source) is None
    assert predict(NO_CERTIFICATE, "any", LoginRule()).code == 0x86


def test_an_other_name_of_another_type_of_string() -> None:
    one = identity(other_name=("1.2.3=#1303616263",))
    with pytest.raises(UnusableNameError):
        certificate_name(one, san("other_name"))
    assert predict(one, "x", LoginRule(san("other_name"))).code is None
    assert "UTF8String" in predict(one, "x", LoginRule(san("other_name"))).refusal


@pytest.mark.parametrize(
    ("cn", "rule", "vhost", "user"),
    [
        ("dev1", LoginRule(), "/", "dev1"),
        ("dev1", LoginRule(vhost="iot"), "iot", "dev1"),
        ("urn:dev:9", LoginRule(), "urn:dev", "9"),
        ("a:", LoginRule(), "a", ""),
        ("urn:dev:9", LoginRule(ignore_colons=True), "/", "urn:dev:9"),
        ("a:b", LoginRule(Source(DISTINGUISHED_NAME)), "O=client,CN=a", "b"),
    ],
)
def test_the_colon_trap(cn: str, rule: LoginRule, vhost: str, user: str) -> None:
    assert predict(identity(cn), "any", rule) == Prediction(user, vhost, None)
    assert user_name(identity(cn), rule) == user


def test_a_certificate_without_the_name_has_no_user() -> None:
    found = predict(identity(), "x", LoginRule(san("email", 1)))
    assert (found.user, found.vhost, found.code) == (None, None, 0x86)
    assert found.refusal == "the certificate has no SAN email 1"
    assert user_name(identity(), LoginRule(san("email"))) == ""
    assert not predict(identity(""), "x", LoginRule()).accepted


def test_a_name_of_raw_bytes() -> None:
    assert predict(identity(ip=("192.168.0.1",)), "x", LoginRule(san("ip"))).code == 0x86
    assert predict(identity(ip=("49.50.51.52",)), "x", LoginRule(san("ip"))).user == "1234"


def test_the_client_id_must_be_that_of_the_certificate() -> None:
    rule = LoginRule(client_id=san("dns", 1))
    one = identity(dns=("d0", "d1"))
    assert predict(one, "d1", rule) == Prediction("dev1", "/", "d1")
    refused = predict(one, "d0", rule)
    assert (refused.required_client_id, refused.code, refused.user) == ("d1", 0x85, "dev1")
    assert "SAN dns 1" in refused.refusal


def test_without_the_name_any_client_id_is_accepted() -> None:
    found = predict(identity(), "anything", LoginRule(client_id=san("dns")))
    assert found.accepted
    assert found.required_client_id is None


def test_a_client_id_is_refused_before_the_login() -> None:
    """Order of the checks in `process_connect`."""
    found = predict(identity("", dns=("d0",)), "other", LoginRule(client_id=san("dns")))
    assert found.code == 0x85


@pytest.mark.parametrize(("kind", "name"), [("ip", "192.168.0.1"), ("other_name", "1.2.3=#1303616263")])
def test_a_client_id_that_none_can_equal(kind: str, name: str) -> None:
    one = identity("dev1", **{kind: (name,)})
    assert predict(one, "x", LoginRule(client_id=san(kind))).code == 0x85
