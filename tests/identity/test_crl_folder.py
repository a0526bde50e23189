from __future__ import annotations

import datetime as dt
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from loadgen.identity.authority import Authority, ClientRequest
from loadgen.identity.crl import revoke
from loadgen.identity.crl_folder import name_hash, write_crl_folder

if TYPE_CHECKING:
    from pathlib import Path


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_openssl_finds_the_crls_in_the_folder_and_believes_them(tmp_path: Path) -> None:
    certs, folder = tmp_path / "certs", tmp_path / "crl"
    authority = Authority.ensure(certs, intermediates=1)
    good, bad = authority.issue_clients([ClientRequest("good"), ClientRequest("bad")])
    revoke(certs, [bad.certificate])
    copies = write_crl_folder(certs, folder)
    for copy, crl in zip(copies, ("ca_crl.pem", "intermediate_1_crl.pem"), strict=True):
        assert copy.name == f"{openssl('crl', '-in', str(certs / crl), '-hash', '-noout')}.r0"
        assert copy.read_bytes() == (certs / crl).read_bytes()
    verify = ["verify", "-crl_check", "-CApath", str(folder), "-CAfile", str(certs / "ca_certificate.pem")]
    verify += ["-untrusted", str(certs / "intermediate_1_certificate.pem")]
    assert openssl(*verify, str(good.certificate)).endswith(": OK")
    assert "certificate revoked" in openssl(*verify, str(bad.certificate))


@pytest.mark.parametrize(
    "attributes",
    [
        {NameOID.COMMON_NAME: "Größe  with   BLANKS "},
        {NameOID.COUNTRY_NAME: "DE", NameOID.ORGANIZATION_NAME: "A & B", NameOID.COMMON_NAME: "x" * 64},
        {NameOID.SERIAL_NUMBER: "12", NameOID.ORGANIZATIONAL_UNIT_NAME: "u" * 64, NameOID.LOCALITY_NAME: "L"},
    ],
)
def test_the_hash_is_openssls(attributes: dict[x509.ObjectIdentifier, str], tmp_path: Path) -> None:
    """A certificate with the name, as openssl makes it from what we wrote."""
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])
    certificate = tmp_path / "c.pem"
    certificate.write_bytes(self_signed(name))
    assert name_hash(name) == openssl("x509", "-in", str(certificate), "-subject_hash", "-noout")


def self_signed(name: x509.Name) -> bytes:
    key = Ed25519PrivateKey.generate()
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.sign(key, None).public_bytes(Encoding.PEM)
