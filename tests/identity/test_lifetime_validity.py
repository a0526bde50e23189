from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_identities
from loadgen.identity.lifetime import Moment, Validity
from loadgen.identity.sets import Place, issue_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]

DAY = 86_400
NOW = 1_900_000_000.0
FAR = 1e12


def absolute(seconds: float) -> Moment:
    return Moment(seconds, relative=False)


@pytest.mark.parametrize(
    ("arguments", "start", "end"),
    [
        ((10 * DAY,), NOW - 300, NOW + 10 * DAY),
        ((10 * DAY, Moment(-20 * DAY)), NOW - 20 * DAY, NOW - 10 * DAY),
        ((10 * DAY, absolute(5.0)), 5.0, 5.0 + 10 * DAY),
        ((10 * DAY, None, Moment(DAY)), NOW - 300, NOW + DAY),
        ((10 * DAY, Moment(DAY), absolute(NOW + 2 * DAY)), NOW + DAY, NOW + 2 * DAY),
    ],
)
def test_dates_that_are_asked_for(arguments: tuple[Any, ...], start: float, end: float) -> None:
    validity = Validity.of(*arguments)
    assert (validity.not_before.at(NOW), validity.not_after.at(NOW)) == (start, end)
    assert validity.as_made(int(start), int(end), FAR)
    assert not validity.as_made(int(start), int(end) + 60, FAR) or not validity.not_before.relative


def test_a_certificate_cut_short_by_its_ca_is_as_made() -> None:
    validity = Validity.of(10 * DAY)
    assert validity.as_made(NOW - 300, NOW + 5 * DAY, NOW + 5 * DAY)
    assert not validity.as_made(NOW - 300, NOW + 4 * DAY, NOW + 5 * DAY)


def test_expired_ones_are_due_only_while_they_are_valid() -> None:
    expired = Validity.of(DAY, Moment(-10 * DAY))
    assert not expired.due(NOW - 10 * DAY, NOW - 9 * DAY, NOW)
    assert expired.due(NOW - 300, NOW + DAY, NOW)


def test_ones_not_yet_valid_are_due_when_they_have_become_valid() -> None:
    later = Validity.of(DAY, Moment(DAY))
    assert not later.due(NOW + DAY, NOW + 2 * DAY, NOW)
    assert later.due(NOW + DAY, NOW + 2 * DAY, NOW + DAY)


def test_a_fixed_end_is_never_due_since_another_would_end_then_too() -> None:
    fixed = Validity(Moment(-300), absolute(NOW + 60))
    assert not fixed.due(NOW - 300 * DAY, NOW + 60, NOW)


@pytest.mark.parametrize(
    ("dates", "refusal"),
    [
        ({"not_after": Moment(-3600)}, "certificate has expired"),
        ({"not_before": Moment(3600)}, "certificate is not yet valid"),
        ({"not_before": absolute(1e9), "not_after": absolute(1e9 + 60)}, "certificate has expired"),
    ],
)
def test_certificates_for_brokers_to_refuse(
    tmp_path: Path, openssl: OpenSSL, dates: dict[str, Moment], refusal: str
) -> None:
    request = ClientRequest("odd", not_before=dates.get("not_before"), not_after=dates.get("not_after"))
    (client,) = issue_requests("s", [request], Place(tmp_path))
    with pytest.raises(AssertionError, match=refusal):
        openssl("verify", "-CAfile", tmp_path / "ca_certificate.pem", client.certificate)
    assert client.invalid_on_purpose
    (problem,) = check_identities([client])
    assert problem.warning
    assert issue_requests("s", [request], Place(tmp_path)) == [client], "issued once"
    (tmp_path / "s.manifest.json").unlink()
    assert issue_requests("s", [request], Place(tmp_path)) == [client], "adopted"


def test_uses(authority: Authority, openssl: OpenSSL) -> None:
    both, neither, server = authority.issue_clients(
        [
            ClientRequest("both", uses=("client_auth", "server_auth")),
            ClientRequest("neither", uses=()),
            ClientRequest("server", uses=("server_auth",)),
        ]
    )
    verify = ("verify", "-x509_strict", "-CAfile", authority.certificate)
    for purpose in ("sslclient", "sslserver"):
        openssl(*verify, "-purpose", purpose, both.certificate)
        openssl(*verify, "-purpose", purpose, neither.certificate)
    with pytest.raises(AssertionError, match=r"(unsuitable|unsupported) certificate purpose"):
        openssl(*verify, "-purpose", "sslclient", server.certificate)
    (problem,) = check_identities([both, neither, server])
    assert "client_server_certificate.pem: the certificate is not meant for clients" in str(problem)


def test_the_whole_subject(authority: Authority, openssl: OpenSSL) -> None:
    parts = {"ou": "Werk", "l": "Köln", "st": "NW", "c": "DE", "serial_number": "S-1"}
    (client,) = authority.issue_clients([ClientRequest("dev1", attributes=parts)])
    shown = openssl(
        "x509", "-in", client.certificate, "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus"
    )
    assert shown.strip() == "subject=CN=dev1,O=client,OU=Werk,L=Köln,ST=NW,C=DE,serialNumber=S-1"
    assert client.subject_rabbitmq == "SERIALNUMBER=S-1,C=DE,ST=NW,L=K\\C3\\B6ln,OU=Werk,O=client,CN=dev1"
    assert client.attributes == parts
