from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.authority import Authority, ClientRequest
from tests.identity.pem import pem_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenSSL = Callable[..., str]

SANS = {
    "dns": ("dev1.example", "dev1"),
    "ip": ("10.0.0.1", "2001:db8::1"),
    "email": ("dev1@example.org",),
    "uri": ("urn:dev:1",),
}


@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-2048"])
def test_openssl_accepts_a_client_for_client_use_only(
    authority: Authority, openssl: OpenSSL, key_type: str
) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1", SANS, key_type=key_type)])
    verify = ("verify", "-x509_strict", "-CAfile", authority.certificate)
    openssl(*verify, "-purpose", "sslclient", client.certificate)
    with pytest.raises(AssertionError, match=r"(unsuitable|unsupported) certificate purpose"):
        openssl(*verify, "-purpose", "sslserver", client.certificate)


def test_openssl_accepts_a_server_by_each_name_and_address(authority: Authority, openssl: OpenSSL) -> None:
    certificate, _ = authority.issue_server("rabbit1", ["localhost", "rabbit1"], ["127.0.0.1", "127.0.0.2"])
    verify = ("verify", "-x509_strict", "-CAfile", authority.certificate, "-purpose", "sslserver")
    openssl(*verify, "-verify_hostname", "localhost", certificate)
    openssl(*verify, "-verify_ip", "127.0.0.2", certificate)
    with pytest.raises(AssertionError, match="IP address mismatch"):
        openssl(*verify, "-verify_ip", "127.0.0.3", certificate)


def test_openssl_reads_what_the_identity_says(authority: Authority, openssl: OpenSSL) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1", SANS)])
    text = openssl("x509", "-in", client.certificate, "-noout", "-text", "-serial", "-subject")
    assert f"serial={client.serial}" in text
    assert "subject=CN=dev1,O=client" in text.replace(" ", "")  # OpenSSL 3.2 and newer write fewer spaces
    for part in (
        "DNS:dev1.example, DNS:dev1, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1",
        "email:dev1@example.org, URI:urn:dev:1",
        "TLS Web Client Authentication",
        "NIST CURVE: P-256",
        "CA:FALSE",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ):
        assert part in text
    assert client.sans == SANS


def test_openssl_reads_the_ca_as_one_that_signs_leaves_only(authority: Authority, openssl: OpenSSL) -> None:
    text = openssl("x509", "-in", authority.certificate, "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "Digital Signature" not in text.split("X509v3 extensions")[1]


@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-2048"])
def test_keys_are_plain_pkcs8_of_their_certificate(
    authority: Authority, openssl: OpenSSL, key_type: str
) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1", key_type=key_type)])
    assert client.key.read_bytes().startswith(pem_line("BEGIN", "PRIVATE KEY"))
    of_key = openssl("pkey", "-in", client.key, "-pubout")
    assert of_key == openssl("x509", "-in", client.certificate, "-noout", "-pubkey")


def test_files_are_laid_out_and_protected_like_tls_gens(authority: Authority) -> None:
    old = os.umask(0)
    try:
        authority.issue_clients([ClientRequest("dev1")])
        authority.issue_server("rabbit1")
    finally:
        os.umask(old)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in authority.directory.iterdir()
        if not path.name.startswith(".")
    }
    assert modes == {
        "ca_certificate.pem": 0o644,
        "ca_key.pem": 0o600,
        "client_dev1_certificate.pem": 0o644,
        "client_dev1_key.pem": 0o600,
        "server_rabbit1_certificate.pem": 0o644,
        "server_rabbit1_key.pem": 0o600,
    }


def test_a_certificate_never_outlives_its_ca(tmp_path: Path) -> None:
    ten_days = 864_000
    short = Authority.create(tmp_path, valid_for_s=ten_days)
    (client,) = short.issue_clients([ClientRequest("dev1", valid_for_s=20 * ten_days)])
    assert client.not_after - client.not_before <= ten_days + 300


def test_ensure_makes_a_ca_once(tmp_path: Path) -> None:
    first = Authority.ensure(tmp_path / "a" / "b")
    assert Authority.ensure(tmp_path / "a" / "b").fingerprint == first.fingerprint
    with pytest.raises(ConfigError, match="already there"):
        Authority.create(tmp_path / "a" / "b")


def test_ensure_finishes_a_creation_that_was_killed_after_the_key(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    authority.certificate.unlink()
    assert Authority.ensure(tmp_path).fingerprint != authority.fingerprint


def test_ensure_never_replaces_a_ca_whose_key_is_gone(authority: Authority) -> None:
    before = authority.certificate.read_bytes()
    (authority.directory / "ca_key.pem").unlink()
    with pytest.raises(ConfigError, match=r"private key is not there.*bring the key back"):
        Authority.ensure(authority.directory)
    assert authority.certificate.read_bytes() == before


def test_open_refuses_a_key_of_another_ca(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other")
    (authority.directory / "ca_key.pem").write_bytes((other.directory / "ca_key.pem").read_bytes())
    with pytest.raises(ConfigError, match="is not the key of"):
        Authority.open(authority.directory)


def test_open_refuses_a_ca_at_its_end(tmp_path: Path) -> None:
    Authority.create(tmp_path, valid_for_s=3600)
    with pytest.raises(ConfigError, match="valid only until"):
        Authority.open(tmp_path)


def test_opens_what_openssl_made_with_rsa(tmp_path: Path, openssl: OpenSSL) -> None:
    # As tls-gen does: an RSA root with its key in PKCS#8.
    files = ("-keyout", tmp_path / "ca_key.pem", "-out", tmp_path / "ca_certificate.pem")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", "/CN=TLSGenRootCA", *files)
    authority = Authority.open(tmp_path)
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    openssl("verify", "-CAfile", authority.certificate, "-purpose", "sslclient", client.certificate)


def test_an_encrypted_ca_key_is_refused_without_asking(tmp_path: Path, openssl: OpenSSL) -> None:
    authority = Authority.create(tmp_path)
    key = tmp_path / "ca_key.pem"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:bunnies", "-out", tmp_path / "locked")
    key.write_bytes((tmp_path / "locked").read_bytes())
    with pytest.raises(ConfigError, match=r"encrypted.*openssl pkey"):
        Authority.open(authority.directory)


def test_a_server_is_kept_while_it_fits_and_issued_again_when_not(authority: Authority) -> None:
    certificate, key = authority.issue_server("rabbit1", ["localhost"])
    first = certificate.read_bytes()
    authority.issue_server("rabbit1", ["localhost"])
    assert certificate.read_bytes() == first
    authority.issue_server("rabbit1", ["localhost"], ["127.0.0.1"])
    second = certificate.read_bytes()
    assert second != first
    key.unlink()
    authority.issue_server("rabbit1", ["localhost"], ["127.0.0.1"])
    assert certificate.read_bytes() != second


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (ClientRequest(""), "1 to 64 bytes"),
        (ClientRequest("é" * 33), "1 to 64 bytes"),
        (ClientRequest("a\x00b"), "control character"),
        (ClientRequest("\ud800"), "1 to 64 bytes"),
        (ClientRequest("a", organization=""), "organization '' must have"),
        (ClientRequest("a", {"ip": ("localhost",)}), "SAN ip 'localhost' must be an IP address"),
        (
            ClientRequest("a", {"dns": ("bücher.example",)}),
            "SAN dns 'bücher.example' must be printable ASCII",
        ),
        (ClientRequest("a", {"dns": ("",)}), "SAN dns ''"),
        (ClientRequest("a", {"email": ("a\nb",)}), "SAN email"),
        (ClientRequest("a", {"other": ("x",)}), "SAN kind 'other'"),
        (ClientRequest("a", key_type="dsa"), "key: 'dsa' is not supported"),
    ],
)
def test_names_that_x509_cannot_hold_are_refused(
    authority: Authority, request_: ClientRequest, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        authority.issue_clients([request_])
    assert not list(authority.directory.glob("client_*"))


def test_all_bad_names_are_told_at_once_and_nothing_is_written(authority: Authority) -> None:
    requests = [ClientRequest("good"), *(ClientRequest("x" * 65 + str(i)) for i in range(20))]
    with pytest.raises(ConfigError) as caught:
        authority.issue_clients(requests)
    assert len(caught.value.problems) == 11
    assert "10 more" in caught.value.problems[-1].what
    assert not list(authority.directory.glob("client_*"))


def test_two_requests_for_the_same_file_are_refused(authority: Authority) -> None:
    with pytest.raises(ConfigError, match=r"'dev1'.*\{index\}"):
        authority.issue_clients([ClientRequest("dev1"), ClientRequest("dev1")])


def test_odd_names_stay_inside_the_directory(authority: Authority, openssl: OpenSSL) -> None:
    odd = ["../../etc/passwd", "a/b", "..", "urn:dev:9", "\\", "%2F", "日本", "a b", "-rf", "é" * 32]
    clients = authority.issue_clients([ClientRequest(cn) for cn in odd])
    for cn, client in zip(odd, clients, strict=True):
        assert client.cn == cn
        assert client.certificate.resolve().parent == authority.directory.resolve()
        openssl("verify", "-CAfile", authority.certificate, client.certificate)
    assert len({client.certificate for client in clients}) == len(odd)
