from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.identity.check import check_identities
from loadgen.identity.directory import read_directory
from loadgen.identity.lifetime import Validity
from loadgen.identity.request import CLIENT_USE, Subject
from loadgen.identity.signing import make_request, sign_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadgen.identity.authority import Authority

    OpenSSL = Callable[..., str]

SUBJECT = Subject("a/b", "client", {"dns": ("d1",), "other_name": ("1.2.3.4=x",)}, {"ou": "fleet"})


def sign(authority: Authority, request: Path, to: Path) -> Path:
    return sign_request(authority, request, to, (CLIENT_USE,), Validity())


def test_a_request_of_ours_becomes_a_client(authority: Authority, tmp_path: Path, openssl: OpenSSL) -> None:
    request, key = make_request(tmp_path / "device", SUBJECT, "ed25519")
    assert (request.name, stat.S_IMODE(key.stat().st_mode)) == ("client_a%2Fb_request.pem", 0o600)
    openssl("req", "-in", request, "-verify", "-noout")
    sign(authority, request, tmp_path / "device")
    (client,) = read_directory(tmp_path / "device")
    assert (client.cn, client.subject_rabbitmq) == ("a/b", "OU=fleet,O=client,CN=a/b")
    assert client.sans == SUBJECT.sans
    assert client.key_type == "ed25519"
    assert check_identities([client], authority.certificate) == []


def test_the_key_is_kept_for_another_request(tmp_path: Path) -> None:
    _, key = make_request(tmp_path, SUBJECT)
    first = key.read_bytes()
    make_request(tmp_path, SUBJECT)
    assert key.read_bytes() == first


def test_a_request_of_openssl_gets_names_and_no_rights(
    authority: Authority, tmp_path: Path, openssl: OpenSSL
) -> None:
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dev7/O=acme"),
        *("-addext", "subjectAltName=DNS:d7", "-addext", "basicConstraints=critical,CA:TRUE"),
        *("-keyout", tmp_path / "k.pem", "-out", tmp_path / "their.csr"),
    )
    path = sign(authority, tmp_path / "their.csr", tmp_path / "x")
    assert path.name == "client_dev7_certificate.pem"
    text = openssl("x509", "-in", path, "-noout", "-text")
    assert "CA:FALSE" in text
    assert "DNS:d7" in text
    openssl("verify", "-CAfile", authority.certificate, "-purpose", "sslclient", path)


def test_what_is_no_request(authority: Authority, tmp_path: Path, openssl: OpenSSL) -> None:
    for content in (b"rubbish", authority.certificate.read_bytes()):
        (tmp_path / "r.pem").write_bytes(content)
        with pytest.raises(ConfigError, match="no signing request"):
            sign(authority, tmp_path / "r.pem", tmp_path)
    request, _ = make_request(tmp_path, SUBJECT)
    broken = tmp_path / "broken.der"
    openssl("req", "-in", request, "-outform", "DER", "-out", broken)
    der = bytearray(broken.read_bytes())
    der[-3] ^= 1
    broken.write_bytes(der)
    openssl("req", "-in", broken, "-inform", "DER", "-out", request)
    with pytest.raises(ConfigError, match="not signed by its key"):
        sign(authority, request, tmp_path)
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=acme"),
        *("-keyout", tmp_path / "k.pem", "-out", tmp_path / "nameless.csr"),
    )
    with pytest.raises(ConfigError, match="no common name"):
        sign(authority, tmp_path / "nameless.csr", tmp_path)
