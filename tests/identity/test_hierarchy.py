from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity import reading
from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.check import check_file, check_identities, check_trust
from loadgen.identity.sets import Place, issue_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]


class Word:
    def __init__(self, password: str) -> None:
        self.password = password

    def reveal(self) -> str:
        return self.password


@pytest.mark.parametrize("levels", [1, 2])
def test_openssl_accepts_the_chain_in_the_clients_file(tmp_path: Path, openssl: OpenSSL, levels: int) -> None:
    authority = Authority.ensure(tmp_path, intermediates=levels)
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    root = tmp_path / "ca_certificate.pem"
    verify = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root)
    openssl(*verify, "-untrusted", client.certificate, client.certificate)
    with pytest.raises(AssertionError, match="unable to get local issuer certificate"):
        openssl(*verify, client.certificate)
    assert client.certificate.read_text().count("BEGIN CERTIFICATE") == levels + 1
    assert stat.S_IMODE((tmp_path / "intermediate_1_key.pem").stat().st_mode) == 0o600
    assert check_file(client.certificate, root) == []
    assert check_identities([client], root) == []
    assert check_trust([client], root) == []


def test_the_hierarchy_is_made_once(tmp_path: Path) -> None:
    first = Authority.ensure(tmp_path, intermediates=2)
    assert Authority.ensure(tmp_path, intermediates=2).fingerprint == first.fingerprint
    between = Authority.ensure(tmp_path, intermediates=1)
    assert [reading.fingerprint(one) for one in between.cas.chain] == [between.fingerprint]
    assert between.root_fingerprint == first.root_fingerprint


def test_a_root_for_leaves_only_takes_no_intermediates(tmp_path: Path) -> None:
    Authority.create(tmp_path)
    with pytest.raises(ConfigError, match="may have 0 intermediates below it, not 1"):
        Authority.ensure(tmp_path, intermediates=1)


def test_a_new_root_gets_new_intermediates(tmp_path: Path, openssl: OpenSSL) -> None:
    place = Place(tmp_path, intermediates=1)
    requests = [ClientRequest("dev1")]
    (first,) = issue_requests("s", requests, place)
    assert issue_requests("s", requests, place) == [first]
    for name in ("ca_certificate.pem", "ca_key.pem"):
        (tmp_path / name).unlink()
    (second,) = issue_requests("s", requests, place)
    assert second.serial != first.serial
    root = tmp_path / "ca_certificate.pem"
    openssl("verify", "-CAfile", root, "-untrusted", second.certificate, second.certificate)


def test_a_change_of_levels_issues_again(tmp_path: Path) -> None:
    requests = [ClientRequest("dev1")]
    (deep,) = issue_requests("s", requests, Place(tmp_path, intermediates=2))
    (shallow,) = issue_requests("s", requests, Place(tmp_path, intermediates=1))
    assert deep.serial != shallow.serial
    (other,) = issue_requests("other set", requests, Place(tmp_path, intermediates=1))
    assert other.serial == shallow.serial


def test_a_chain_that_does_not_hold(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path / "a", intermediates=1)
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    other = Authority.ensure(tmp_path / "b", intermediates=1)
    leaf = client.certificate.read_text().partition("-----END CERTIFICATE-----\n")
    wrong = (other.directory / "intermediate_1_certificate.pem").read_text()
    client.certificate.write_text(leaf[0] + leaf[1] + wrong)
    (problem,) = check_identities([client], authority.certificate)
    assert "the certificates in it are no chain" in str(problem)
    (problem,) = check_trust([client], authority.certificate)
    assert "not signed by" in str(problem)
    assert not problem.warning


def test_ca_keys_with_a_password(tmp_path: Path, openssl: OpenSSL) -> None:
    word = Word("open sesame")
    Authority.ensure(tmp_path, intermediates=1, password=word)
    for name in ("ca_key.pem", "intermediate_1_key.pem"):
        openssl("pkey", "-in", tmp_path / name, "-passin", "pass:open sesame", "-noout")
    with pytest.raises(ConfigError, match="encrypted"):
        Authority.open(tmp_path)
    assert Authority.open(tmp_path, intermediates=1, password=word).issue_clients([ClientRequest("a")])
