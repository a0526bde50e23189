from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.identity import manifest, reading
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_authorities, check_file, check_identities
from loadgen.identity.directory import read_directory
from loadgen.identity.lifetime import Moment
from loadgen.identity.sets import issue_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadgen.errors import Problem
    from loadgen.identity.identity import Identity

    OpenSSL = Callable[..., str]


@pytest.fixture
def clients(authority: Authority) -> list[Identity]:
    return authority.issue_clients([ClientRequest(f"dev{index}") for index in range(3)])


def only(problems: list[Problem], *, warning: bool = False) -> str:
    assert len(problems) == 1, problems
    assert problems[0].warning is warning
    assert problems[0].mend
    return str(problems[0])


def test_good_ones_have_no_problem(authority: Authority, clients: list[Identity]) -> None:
    assert check_identities(clients, authority.certificate) == []
    assert check_identities(clients, None) == []


def test_a_ca_file_that_is_not_there(clients: list[Identity], tmp_path: Path) -> None:
    assert "none.pem: CA file cannot be read: No such file" in only(
        check_identities(clients, tmp_path / "none.pem")
    )


def test_a_ca_file_that_is_none(clients: list[Identity]) -> None:
    assert "no CA certificate in PEM form" in only(check_identities(clients, clients[0].key))
    assert "is not a CA's" in only(check_authorities(clients[0].certificate), warning=True)


def test_a_ca_that_has_expired(authority: Authority, clients: list[Identity]) -> None:
    problems = check_identities(clients, authority.certificate, now=clients[0].not_after + 20 * 365 * 86_400)
    assert "the CA certificate has expired" in str(problems[0])
    problems = check_authorities(authority.certificate, now=0)
    assert "is not yet valid" in only(problems)


def test_dates(clients: list[Identity]) -> None:
    assert "client_dev0_certificate.pem: the certificate expired on 20" in only(
        check_identities(clients[:1], now=clients[0].not_after)
    )
    told = only(check_identities(clients, now=clients[0].not_before - 1))
    assert "not valid before 20" in told
    assert "2 more like it" in told
    assert check_identities(clients, now=clients[0].not_before) == []


def test_a_key_of_another_certificate(clients: list[Identity]) -> None:
    clients[0].key.write_bytes(clients[1].key.read_bytes())
    assert "client_dev0_key.pem: the key is not that of client_dev0_certificate.pem" in only(
        check_identities(clients)
    )


def test_files_that_are_missing_or_rubbish(clients: list[Identity], openssl: OpenSSL) -> None:
    clients[0].key.unlink()
    clients[1].certificate.write_bytes(b"rubbish")
    plain = clients[2].key.with_suffix(".plain")
    clients[2].key.rename(plain)
    openssl("pkey", "-in", plain, "-aes256", "-passout", "pass:x", "-out", clients[2].key)
    missing, rubbish, encrypted = map(str, check_identities(clients))
    assert "client_dev0_key.pem: No such file" in missing
    assert "client_dev1_certificate.pem: no certificate in PEM form" in rubbish
    assert "client_dev2_key.pem: the private key is encrypted (name its password" in encrypted
    assert "or decrypt it: openssl pkey" in encrypted


@pytest.mark.parametrize("vouched", [True, False])
def test_a_key_that_everyone_may_read_is_a_warning(tmp_path: Path, *, vouched: bool) -> None:
    clients = issue_set("s", 3, lambda index: f"dev{index}", out=tmp_path)
    if not vouched:
        (tmp_path / "s.manifest.json").unlink()
    for client in clients:
        client.key.chmod(0o644)
    told = only(check_identities(clients, tmp_path / "ca_certificate.pem"), warning=True)
    assert "open to everyone (mode 644), and 2 more like it (chmod 600 it)" in told


@pytest.mark.parametrize("vouched", [True, False])
def test_another_ca_is_a_warning_because_the_broker_judges(
    tmp_path: Path, authority: Authority, *, vouched: bool
) -> None:
    clients = issue_set("s", 2, lambda index: f"dev{index}", out=tmp_path / "other")
    if not vouched:
        (tmp_path / "other" / "s.manifest.json").unlink()
    assert "not signed by" in only(check_identities(clients, authority.certificate), warning=True)


def test_a_manifest_spares_the_parsing_until_a_file_changes(tmp_path: Path, parsed: list[str]) -> None:
    clients = issue_set("s", 3, lambda index: f"dev{index}", out=tmp_path)
    assert check_identities(clients, tmp_path / "ca_certificate.pem") == []
    assert parsed == []
    clients[1].key.write_bytes(clients[0].key.read_bytes())
    assert "client_dev1_key.pem: the key is not that of" in only(check_identities(clients))
    assert parsed == ["client_dev1_certificate.pem"]


def test_another_sets_long_manifest_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = issue_set("fleet", 20, lambda index: f"dev{index}", out=tmp_path)
    few = issue_set("services", 2, lambda index: f"service{index}", out=tmp_path)
    read, names = manifest.read, []

    def watched(path: Path) -> manifest.Manifest | None:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(manifest, "read", watched)
    assert check_identities(few) == []
    assert names == ["services.manifest.json"]
    assert check_identities([*few, *fleet]) == []
    assert names[1:] == ["services.manifest.json", "fleet.manifest.json"]


def test_a_server_certificate_as_a_client(authority: Authority) -> None:
    certificate, key = authority.issue_server("rabbit1")
    server = reading.identity_of(
        reading.parse_certificate(certificate.read_bytes(), certificate), certificate, key
    )
    assert "not meant for clients" in only(check_identities([server]), warning=True)
    assert check_file(certificate, authority.certificate) == []


def test_a_certificate_without_extended_use_may_be_a_clients(tmp_path: Path, openssl: OpenSSL) -> None:
    files = ("-keyout", tmp_path / "client_a_key.pem", "-out", tmp_path / "client_a_certificate.pem")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 3, "-subj", "/CN=a", *files)
    assert check_identities(read_directory(tmp_path)) == []


def test_one_file(authority: Authority, clients: list[Identity], tmp_path: Path) -> None:
    assert check_file(authority.certificate, authority.certificate) == []
    assert check_file(clients[0].certificate, authority.certificate) == []
    other = Authority.create(tmp_path / "other")
    assert "not signed by" in only(check_file(clients[0].certificate, other.certificate))
    assert "no certificate in PEM form" in only(check_file(clients[0].key))
    clients[0].key.write_bytes(clients[1].key.read_bytes())
    assert "the key is not that of" in only(check_file(clients[0].certificate))


def test_an_expired_certificate_is_made_by_a_short_life(authority: Authority, openssl: OpenSSL) -> None:
    """The dates in the file are what openssl sees too."""
    start, end = Moment(1e9, relative=False), Moment(1e9 + 60, relative=False)
    request = ClientRequest("old", not_before=start, not_after=end)
    path = authority.issue_clients([request])[0].certificate
    with pytest.raises(AssertionError, match="certificate has expired"):
        openssl("verify", "-CAfile", authority.certificate, path)
    assert "expired on 2001-09-09" in only(check_identities(read_directory(authority.directory)))
