from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity import keys
from loadgen.identity.authority import Authority, ClientRequest
from tests.identity.pem import pem_line

if TYPE_CHECKING:
    from collections.abc import Callable

    OpenSSL = Callable[..., str]

SEEN_BY_OPENSSL = {
    "ec-p256": "NIST CURVE: P-256",
    "ec-p384": "NIST CURVE: P-384",
    "ed25519": "ED25519",
    "rsa-2048": "(2048 bit)",
    "rsa-4096": "(4096 bit)",
}


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
def test_every_type_of_key_in_openssls_eyes(authority: Authority, openssl: OpenSSL, key_type: str) -> None:
    (client,) = authority.issue_clients([ClientRequest("dev1", key_type=key_type)])
    assert client.key_type == key_type
    openssl(
        *("verify", "-x509_strict", "-CAfile", authority.certificate),
        *("-purpose", "sslclient", client.certificate),
    )
    assert SEEN_BY_OPENSSL[key_type] in openssl("x509", "-in", client.certificate, "-noout", "-text")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(client.certificate, client.key)


@pytest.mark.parametrize("key_type", ["ec-p256", "ed25519", "rsa-2048"])
def test_a_key_with_a_password(openssl: OpenSSL, tmp_path: Path, key_type: str) -> None:
    pem = keys.key_pem(keys.new_key(key_type), "open sesame")
    assert pem.startswith(pem_line("BEGIN", "ENCRYPTED PRIVATE KEY"))
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    openssl("pkey", "-in", path, "-passin", "pass:open sesame", "-noout")
    assert keys.key_type_of(keys.parse_key(pem, path, "open sesame")) == key_type
    with pytest.raises(ConfigError, match=r"encrypted.*key_password"):
        keys.parse_key(pem, path)
    with pytest.raises(ConfigError, match="password does not open") as caught:
        keys.parse_key(pem, path, "wrong word")
    assert "wrong word" not in str(caught.value)


def test_a_password_is_not_needed_for_a_plain_key() -> None:
    pem = keys.key_pem(keys.new_key("ec-p256"))
    assert keys.key_type_of(keys.parse_key(pem, Path("k"), "any")) == "ec-p256"


NO_KEY_INSIDE = pem_line("BEGIN", "PRIVATE KEY") + b"AAAA\n" + pem_line("END", "PRIVATE KEY")


@pytest.mark.parametrize("content", [b"", b"rubbish", NO_KEY_INSIDE])
def test_what_is_no_key(content: bytes) -> None:
    with pytest.raises(ConfigError, match="no private key in PEM form"):
        keys.parse_key(content, Path("k"))


@pytest.mark.parametrize("key_type", ["ec-p384", "ed25519"])
def test_a_ca_with_another_type_of_key_signs(tmp_path: Path, openssl: OpenSSL, key_type: str) -> None:
    algorithm = {"ec-p384": ("ec", "-pkeyopt", "ec_paramgen_curve:P-384"), "ed25519": ("ed25519",)}[key_type]
    openssl(
        *("req", "-x509", "-newkey", *algorithm, "-nodes", "-days", 30, "-subj", "/CN=other CA"),
        *("-keyout", tmp_path / "ca_key.pem", "-out", tmp_path / "ca_certificate.pem"),
    )
    authority = Authority.open(tmp_path)
    (client,) = authority.issue_clients([ClientRequest("dev1")])
    openssl("verify", "-CAfile", authority.certificate, "-purpose", "sslclient", client.certificate)
